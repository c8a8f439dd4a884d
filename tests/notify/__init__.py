"""`make notify`: ten simulated days of reports and 10,000 events for webhooks, over notifiers that are killed."""
