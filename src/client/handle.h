/* Handle: what a PictographClient is made of, and its pool of connections.
 *
 * A curl easy handle keeps its connection alive between requests; 10 are kept idle. Any thread may lease one. At most 20 calls are inside
 * the library at once, further threads wait; a parallel transfer counts as one call and bounds its connections itself.
 */
#pragma once
#include <curl/curl.h>
#include <pictograph/client.h>
#include <pthread.h>

enum { CLIENT_CONNECTIONS = 20, CLIENT_IDLE = 10 };

struct PictographClient {
    char *api_key;
    char *base_url; /* without a trailing slash */
    char *user_agent;
    double timeout; /* seconds of silence */
    int max_retries;
    bool (*cancelled)(void *context);
    void *cancel_context;
    pthread_mutex_t lock;
    pthread_cond_t left;
    CURL *idle[CLIENT_IDLE];
    int idle_count;
    int inside; /* calls */
};

/* Around a blocking call; enter waits for its turn. */
void client_enter(PictographClient *client);
void client_leave(PictographClient *client);
/* NULL when curl has no memory. */
CURL *client_lease(PictographClient *client);
void client_return(PictographClient *client, CURL *easy);
bool client_is_cancelled(const PictographClient *client);
/* Sleeps; false as soon as the caller cancels. */
bool client_sleep(const PictographClient *client, double seconds);
