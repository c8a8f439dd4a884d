"""The paths: what is asked for, handed to the functions that do it. No SQL, no statuses of errors here."""
