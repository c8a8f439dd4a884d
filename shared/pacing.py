"""What the forecast of the API and the timetable of the planner must agree on about rate limits."""

# So much of a limit is given away as slots: evenly spaced, and a little apart, so that the jitter of a POST never
# carries a one-second window above the limit.
FILL = 0.975
