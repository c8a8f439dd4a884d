// What pages need beyond htmx: dialogs, the browser's time zone, the notice that the console is away, uploads.
(() => {
  const dialog = document.getElementById("dialog");

  // After htmx has settled, as it moves the focus itself until then.
  document.body.addEventListener("htmx:afterSettle", (event) => {
    if (event.detail.target === dialog && !dialog.open) dialog.showModal();
  });
  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-close]") || event.target === dialog) dialog.close();
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      if (!menu.contains(event.target)) menu.open = false;
    }
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      menu.open = false;
      menu.querySelector("summary").focus();
    }
  });

  // Forms are sent once, however often the button is pressed.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (event.defaultPrevented || form.method !== "post") return;
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = "yes";
    for (const button of form.querySelectorAll("button:not([type=button])")) button.setAttribute("aria-disabled", "true");
  });
  addEventListener("pageshow", () => {
    for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
  });

  const preferences = document.getElementById("preferences");
  preferences.addEventListener("change", () => preferences.requestSubmit());

  // Times are shown in the browser's zone until somebody chooses another one.
  if (document.body.dataset.zoneKnown === "no" && navigator.cookieEnabled) {
    const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
    if (zone) {
      document.cookie = `zone=${zone}; path=/; max-age=31536000; samesite=lax`;
      if (zone !== "UTC") location.reload();
    }
  }

  const notice = document.getElementById("connection");
  const isAway = (away) => { notice.hidden = !away; };
  document.body.addEventListener("htmx:sendError", () => isAway(true));
  // A stream of events does not say why it broke: the console is away, the service is, or the session is over.
  document.body.addEventListener("htmx:sseError", async () => {
    try {
      const answer = await fetch(location.href, { redirect: "manual" });
      if (answer.type === "opaqueredirect") location.reload();
      service.hidden = answer.status < 500;
    } catch {
      isAway(true);
    }
  });
  document.body.addEventListener("htmx:sseOpen", () => { service.hidden = true; });
  for (const name of ["htmx:sseOpen", "htmx:afterOnLoad"]) document.body.addEventListener(name, () => isAway(false));

  document.body.addEventListener("htmx:sseMessage", (event) => {
    if (event.target.hasAttribute("data-reload")) location.reload();
  });

  // An error has a page of its own. A question that cannot be shown in the dialog is asked there; a part of a page
  // that is only brought up to date stays as it was.
  const service = document.getElementById("service");
  document.body.addEventListener("htmx:responseError", (event) => {
    if (event.detail.target === dialog) location.assign(event.detail.pathInfo.requestPath);
    else if (event.detail.xhr.status === 401) location.reload();
    else service.hidden = false;
  });
  document.body.addEventListener("htmx:afterSwap", () => { service.hidden = true; });

  // A page that waits for something asks again, and shows the answer once there is one.
  const again = document.querySelector("[data-again]");
  if (again) {
    setInterval(async () => {
      try {
        const answer = await fetch(location.href);
        isAway(false);
        if (answer.status !== 503) location.reload();
      } catch {
        isAway(true);
      }
    }, 1000 * Number(again.dataset.again));
  }

  // The CSV goes up as it is, so that a file of any size streams through.
  const upload = document.getElementById("upload");
  if (upload) {
    const file = upload.querySelector("input[type=file]");
    const progress = upload.querySelector("progress");
    const said = upload.querySelector("[data-progress]");
    const result = document.getElementById("result");
    const send = (chosen) => {
      const request = new XMLHttpRequest();
      request.open("POST", upload.action);
      request.setRequestHeader("Content-Type", "text/csv");
      request.setRequestHeader("HX-Request", "true");
      request.upload.addEventListener("progress", (event) => {
        if (!event.lengthComputable) return;
        progress.value = event.loaded / event.total;
        said.textContent = `${chosen.name}: ${Math.round((100 * event.loaded) / event.total)} %`;
      });
      request.addEventListener("load", () => {
        progress.hidden = true;
        said.textContent = "";
        result.innerHTML = request.responseText;
        result.focus();
      });
      request.addEventListener("error", () => {
        progress.hidden = true;
        said.textContent = upload.dataset.broken;
      });
      progress.hidden = false;
      progress.value = 0;
      request.send(chosen);
    };
    file.addEventListener("change", () => { if (file.files.length) send(file.files[0]); file.value = ""; });
    for (const name of ["dragenter", "dragover"]) {
      upload.addEventListener(name, (event) => { event.preventDefault(); upload.classList.add("is-over"); });
    }
    for (const name of ["dragleave", "drop"]) {
      upload.addEventListener(name, (event) => { event.preventDefault(); upload.classList.remove("is-over"); });
    }
    upload.addEventListener("drop", (event) => { if (event.dataTransfer.files.length) send(event.dataTransfer.files[0]); });
  }

  // One box ticks all the others of a list.
  document.addEventListener("change", (event) => {
    const all = event.target.closest("[data-check-all]");
    if (!all) return;
    for (const box of all.closest("form").querySelectorAll("input[name=id]")) box.checked = all.checked;
  });
})();
