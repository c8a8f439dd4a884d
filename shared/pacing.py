"""Use of a rate limit, on which the API's forecast and the planner's timetable must agree. Pure."""

# Share of a limit that is used. Slots are evenly spaced, a little further apart than the limit allows, so
# that the jitter of a POST never brings a window of one second above the limit.
FILL = 0.975
