/* Reply: the last touch of every response: envelopes of failures, conditional requests, the headers that all replies carry. */
#pragma once
#include "server/api/request.h"

/* Completes rq->response from what the handler left there, or from rq->error. */
void reply_finish(Request *rq);
