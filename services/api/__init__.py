"""REST API: stores clients, mailings and single messages, and shows the status of messages.

The planner and the senders do the work. `application` puts the nouns together; `edge` knows no noun.
"""
