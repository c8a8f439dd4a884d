// The curve of a running mailing: messages a second, against the limit.
(() => {
  const element = document.getElementById("pace");
  if (!element) return;
  const limit = Number(element.dataset.limit) || null;
  const points = JSON.parse(element.dataset.points);
  let plot = null;

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const columns = () => [
    points.map((point) => point[0]),
    points.map((point) => point[1]),
    ...(limit ? [points.map(() => limit)] : []),
  ];
  const number = new Intl.NumberFormat(document.documentElement.lang);

  const axis = () => ({
    stroke: colour("--quiet-text"),
    grid: { stroke: colour("--line"), width: 1 },
    ticks: { show: false },
    font: "12px 'Inter Variable', sans-serif",
  });

  const draw = () => {
    if (points.length < 2) {
      element.dataset.empty = "yes";
      return;
    }
    delete element.dataset.empty;
    if (plot) {
      plot.setData(columns());
      return;
    }
    element.textContent = "";
    const series = [{}, { label: element.dataset.name, stroke: colour("--sent"), fill: colour("--sent-soft"), width: 2, points: { show: false } }];
    if (limit) series.push({ label: element.dataset.limitName, stroke: colour("--quiet-text"), width: 1, dash: [6, 4], points: { show: false } });
    plot = new uPlot({
      width: element.clientWidth,
      height: 200,
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), element.dataset.zone),
      cursor: { show: false },
      legend: { show: false },
      scales: { y: { range: (_, __, most) => [0, Math.max(most, limit || 0, 1) * 1.1] } },
      axes: [
        { ...axis(), values: "{HH}:{mm}:{ss}", space: 80, size: 28 },
        { ...axis(), values: (_, ticks) => ticks.map((tick) => number.format(tick)), size: 56 },
      ],
      series,
    }, columns(), element);
  };

  const forget = () => { if (plot) { plot.destroy(); plot = null; } };
  element.addEventListener("htmx:sseMessage", (event) => {
    element.dataset.live = "yes";
    const point = JSON.parse(event.detail.data);
    if (points.length && points[points.length - 1][0] >= point[0]) return;
    points.push(point);
    if (points.length > 600) points.shift();
    draw();
  });
  new ResizeObserver(() => { if (plot && plot.width !== element.clientWidth) plot.setSize({ width: element.clientWidth, height: 200 }); }).observe(element);
  new MutationObserver(() => { forget(); draw(); }).observe(document.documentElement, { attributeFilter: ["data-bs-theme"] });
  draw();
})();
