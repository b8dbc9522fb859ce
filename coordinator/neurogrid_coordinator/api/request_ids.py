"""Where a request's id is left, for whoever writes down what the request did."""

REQUEST_ID_STATE = "request_id"
