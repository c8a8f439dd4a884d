"""Use of a rate limit, on which the API's forecast and the planner's timetable must agree. Pure."""

# Share of a limit that is given out as slots. Slots are evenly spaced, a little further apart than the limit says,
# so that the jitter of a POST never brings a one-second window above the limit.
FILL = 0.975
