/* Makes clients from options, environment and file, and lends their connections. */
#include "client/handle.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "base/text.h"
#include "client/config.h"
#include "client/failure.h"

#include "base/banned.h"

const char *pictograph_version(void) {
    return PICTOGRAPH_VERSION;
}

static char *make_user_agent(const char *prefix) {
    Buffer text;
    buffer_init(&text, 512);
    buffer_printf(&text, "%s%slibpictograph/%s %s", prefix ? prefix : "", prefix ? " " : "", PICTOGRAPH_VERSION, curl_version());
    return text.failed ? xstrdup("libpictograph/" PICTOGRAPH_VERSION) : buffer_take(&text);
}

PictographClient *pictograph_new(const PictographOptions *options, PictographError *error) {
    static const PictographOptions defaults = PICTOGRAPH_OPTIONS_DEFAULTS;
    options = options ? options : &defaults;
    failure_reset(error);
    Error base = {0};
    Settings settings;
    if (settings_resolve(&settings, options, &base)) {
        failure_from_base(error, &base);
        settings_clear(&settings);
        return NULL;
    }
    if (curl_global_init(CURL_GLOBAL_DEFAULT)) {
        settings_clear(&settings);
        failure_set(error, PICTOGRAPH_CONFIGURATION, "libcurl could not be started");
        return NULL;
    }
    PictographClient *client = xcalloc(1, sizeof *client);
    *client = (PictographClient){
        .api_key = settings.api_key,
        .base_url = settings.base_url,
        .timeout = settings.timeout,
        .max_retries = settings.max_retries,
        .user_agent = make_user_agent(options->user_agent),
        .cancelled = options->cancelled,
        .cancel_context = options->cancel_context,
    };
    pthread_mutex_init(&client->lock, NULL);
    pthread_cond_init(&client->left, NULL);
    return client;
}

void pictograph_free(PictographClient *client) {
    if (!client) return;
    for (int i = 0; i < client->idle_count; i++) curl_easy_cleanup(client->idle[i]);
    pthread_cond_destroy(&client->left);
    pthread_mutex_destroy(&client->lock);
    if (client->api_key) explicit_bzero(client->api_key, strlen(client->api_key));
    free(client->api_key);
    free(client->base_url);
    free(client->user_agent);
    free(client);
    curl_global_cleanup();
}

const char *pictograph_base_url(const PictographClient *client) {
    return client->base_url;
}

void client_enter(PictographClient *client) {
    pthread_mutex_lock(&client->lock);
    while (client->inside >= CLIENT_CONNECTIONS) pthread_cond_wait(&client->left, &client->lock);
    client->inside++;
    pthread_mutex_unlock(&client->lock);
}

void client_leave(PictographClient *client) {
    pthread_mutex_lock(&client->lock);
    client->inside--;
    pthread_cond_signal(&client->left);
    pthread_mutex_unlock(&client->lock);
}

CURL *client_lease(PictographClient *client) {
    CURL *easy = NULL;
    pthread_mutex_lock(&client->lock);
    if (client->idle_count > 0) easy = client->idle[--client->idle_count];
    pthread_mutex_unlock(&client->lock);
    return easy ? easy : curl_easy_init();
}

void client_return(PictographClient *client, CURL *easy) {
    curl_easy_reset(easy);
    pthread_mutex_lock(&client->lock);
    if (client->idle_count < CLIENT_IDLE) {
        client->idle[client->idle_count++] = easy;
        easy = NULL;
    }
    pthread_mutex_unlock(&client->lock);
    curl_easy_cleanup(easy);
}

bool client_is_cancelled(const PictographClient *client) {
    return client->cancelled && client->cancelled(client->cancel_context);
}

bool client_sleep(const PictographClient *client, double seconds) {
    double end = clock_monotonic() + seconds;
    for (double left = seconds; left > 0; left = end - clock_monotonic()) {
        if (client_is_cancelled(client)) return false;
        clock_sleep(left < 0.1 ? left : 0.1);
    }
    return !client_is_cancelled(client);
}
