/* Eclipse Paho for C (MQTTAsync) as a driven client; test/lib/mqtt_clients.py says what it is told
 * and what it answers. Memory is given back by the end of the process. */
#include <MQTTAsync.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SESSION_EXPIRY_S = 3600, WAIT_MS = 10000 };

static char **given;
static int is_5, is_clean;
static MQTTAsync client;

/* Checked where it is called: the argument `name=value`, or NULL. */
static const char *argument(const char *name)
{
    size_t length = strlen(name);
    for (char **word = given; *word != NULL; word++) {
        if (strncmp(*word, name, length) == 0 && (*word)[length] == '=') {
            return *word + length + 1;
        }
    }
    return NULL;
}

static void must(int status, const char *what)
{
    if (status != MQTTASYNC_SUCCESS) {
        fprintf(stderr, "%s: %s (%d)\n", what, MQTTAsync_strerror(status), status);
        exit(1);
    }
}

/* The bytes of hexadecimal digits, "-" for none. */
static unsigned char *from_word(const char *word, size_t *length)
{
    *length = strcmp(word, "-") == 0 ? 0 : strlen(word) / 2;
    unsigned char *bytes = malloc(*length + 1);
    for (size_t i = 0; i < *length; i++) {
        char digits[3] = {word[2 * i], word[2 * i + 1], 0};
        bytes[i] = (unsigned char)strtoul(digits, NULL, 16);
    }
    return bytes;
}

static void print_hex(const void *bytes, size_t length)
{
    const unsigned char *byte = bytes;
    putchar(' ');
    if (length == 0) {
        putchar('-');
    }
    for (size_t i = 0; i < length; i++) {
        putchar("0123456789abcdef"[byte[i] >> 4]);
        putchar("0123456789abcdef"[byte[i] & 15]);
    }
}

static void print_pair(MQTTProperties *properties)
{
    MQTTProperty *pair = MQTTProperties_getProperty(properties, MQTTPROPERTY_CODE_USER_PROPERTY);
    if (pair == NULL) {
        printf(" -=-");
        return;
    }
    printf(" %.*s=%.*s", pair->value.data.len, pair->value.data.data, pair->value.value.len,
           pair->value.value.data);
}

static int on_message(void *context, char *topic, int topic_length, MQTTAsync_message *message)
{
    (void)context;
    int length = topic_length > 0 ? topic_length : (int)strlen(topic);
    flockfile(stdout);
    printf("message %d %d %.*s", message->qos, message->retained, length, topic);
    print_hex(message->payload, (size_t)message->payloadlen);
    MQTTProperty *response =
        MQTTProperties_getProperty(&message->properties, MQTTPROPERTY_CODE_RESPONSE_TOPIC);
    MQTTProperty *correlation =
        MQTTProperties_getProperty(&message->properties, MQTTPROPERTY_CODE_CORRELATION_DATA);
    if (response != NULL) {
        printf(" %.*s", response->value.data.len, response->value.data.data);
    } else {
        printf(" -");
    }
    print_hex(correlation == NULL ? NULL : correlation->value.data.data,
              correlation == NULL ? 0 : (size_t)correlation->value.data.len);
    print_pair(&message->properties);
    putchar('\n');
    funlockfile(stdout);
    MQTTAsync_freeMessage(&message);
    MQTTAsync_free(topic);
    return 1;
}

static void on_connect(void *context, MQTTAsync_successData *data)
{
    (void)context;
    printf("connected %d\n", data->alt.connect.sessionPresent);
}

static void on_connect5(void *context, MQTTAsync_successData5 *data)
{
    (void)context;
    printf("connected %d\n", data->alt.connect.sessionPresent);
}

/* A connection that came back by itself: that is told to no other function. */
static void on_connected(void *context, char *cause)
{
    (void)context;
    if (strcmp(cause, "automatic reconnect") == 0) {
        printf("connected 1\n");
    }
}

static void on_refused(void *context, MQTTAsync_failureData *data)
{
    (void)context;
    printf("refused %d\n", data->code);
}

static void on_refused5(void *context, MQTTAsync_failureData5 *data)
{
    (void)context;
    printf("refused %d\n", data->reasonCode != 0 ? (int)data->reasonCode : data->code);
}

static void on_subscribed(void *context, MQTTAsync_successData *data)
{
    (void)context;
    printf("subscribed %d\n", data->alt.qos);
}

static void on_subscribed5(void *context, MQTTAsync_successData5 *data)
{
    (void)context;
    printf("subscribed %d\n", data->reasonCode);
}

static void on_published(void *context, MQTTAsync_successData *data)
{
    (void)context;
    (void)data;
    puts("published");
}

static void on_published5(void *context, MQTTAsync_successData5 *data)
{
    (void)context;
    (void)data;
    puts("published");
}

static void on_failure(void *context, MQTTAsync_failureData *data)
{
    printf("failed %s %d\n", (const char *)context, data->code);
}

static void on_failure5(void *context, MQTTAsync_failureData5 *data)
{
    printf("failed %s %d\n", (const char *)context, data->reasonCode);
}

static void connect_client(void)
{
    const char *transport = argument("transport");
    const char *scheme = strcmp(transport, "tls") == 0 ? "ssl" : transport;
    char uri[200];
    snprintf(uri, sizeof(uri), "%s://%s:%s%s", scheme, argument("host"), argument("port"),
             *transport == 'w' ? "/mqtt" : "");
    MQTTAsync_createOptions made = MQTTAsync_createOptions_initializer;
    made.MQTTVersion = is_5 ? MQTTVERSION_5 : MQTTVERSION_3_1_1;
    must(MQTTAsync_createWithOptions(&client, uri, argument("id"), MQTTCLIENT_PERSISTENCE_NONE,
                                     NULL, &made),
         "create");
    must(MQTTAsync_setCallbacks(client, NULL, NULL, on_message, NULL), "callbacks");
    must(MQTTAsync_setConnected(client, NULL, on_connected), "callback");

    MQTTAsync_connectOptions plain = MQTTAsync_connectOptions_initializer;
    MQTTAsync_connectOptions plain5 = MQTTAsync_connectOptions_initializer5;
    MQTTAsync_connectOptions options = is_5 ? plain5 : plain;
    MQTTAsync_SSLOptions tls = MQTTAsync_SSLOptions_initializer;
    MQTTAsync_willOptions will = MQTTAsync_willOptions_initializer;
    MQTTProperties properties = MQTTProperties_initializer;
    if (is_5) {
        MQTTProperty expiry = {.identifier = MQTTPROPERTY_CODE_SESSION_EXPIRY_INTERVAL};
        expiry.value.integer4 = is_clean ? 0 : SESSION_EXPIRY_S;
        MQTTProperties_add(&properties, &expiry);
        options.connectProperties = &properties;
        options.cleanstart = is_clean;
        options.onSuccess5 = on_connect5;
        options.onFailure5 = on_refused5;
    } else {
        options.cleansession = is_clean;
        options.MQTTVersion = MQTTVERSION_3_1_1;
        options.onSuccess = on_connect;
        options.onFailure = on_refused;
    }
    if (argument("ca") != NULL) {
        tls.trustStore = argument("ca");
        tls.verify = 1;
        tls.enableServerCertAuth = 1;
        options.ssl = &tls;
    }
    if (argument("will_topic") != NULL) {
        size_t length;
        will.topicName = argument("will_topic");
        will.payload.data = from_word(argument("will_payload"), &length);
        will.payload.len = (int)length;
        will.qos = 1;
        options.will = &will;
    }
    options.username = argument("user");
    options.password = argument("password");
    options.keepAliveInterval = 60;
    options.automaticReconnect = 1;
    options.minRetryInterval = 1;
    options.maxRetryInterval = 2;
    must(MQTTAsync_connect(client, &options), "connect");
}

static MQTTAsync_responseOptions response_options(const char *what)
{
    MQTTAsync_responseOptions options = MQTTAsync_responseOptions_initializer;
    int is_subscribe = strcmp(what, "subscribe") == 0;
    options.context = (void *)what;
    if (is_5) {
        options.onSuccess5 = is_subscribe ? on_subscribed5 : on_published5;
        options.onFailure5 = on_failure5;
    } else {
        options.onSuccess = is_subscribe ? on_subscribed : on_published;
        options.onFailure = on_failure;
    }
    return options;
}

/* topic qos retain payload response correlation key=value, "-" for none */
static void publish(char *words)
{
    char *word[7];
    for (int i = 0; i < 7; i++) {
        word[i] = strsep(&words, " ");
        if (word[i] == NULL) {
            must(MQTTASYNC_NULL_PARAMETER, "publish");
        }
    }
    MQTTAsync_responseOptions options = response_options("publish");
    MQTTAsync_message message = MQTTAsync_message_initializer;
    size_t length;
    message.payload = from_word(word[3], &length);
    message.payloadlen = (int)length;
    message.qos = atoi(word[1]);
    message.retained = atoi(word[2]);
    if (strcmp(word[4], "-") != 0) {
        MQTTProperty response = {.identifier = MQTTPROPERTY_CODE_RESPONSE_TOPIC};
        response.value.data.data = word[4];
        response.value.data.len = (int)strlen(word[4]);
        MQTTProperties_add(&message.properties, &response);
        MQTTProperty correlation = {.identifier = MQTTPROPERTY_CODE_CORRELATION_DATA};
        correlation.value.data.data = (char *)from_word(word[5], &length);
        correlation.value.data.len = (int)length;
        MQTTProperties_add(&message.properties, &correlation);
        MQTTProperty pair = {.identifier = MQTTPROPERTY_CODE_USER_PROPERTY};
        pair.value.data.data = strsep(&word[6], "=");
        pair.value.data.len = (int)strlen(pair.value.data.data);
        pair.value.value.data = word[6];
        pair.value.value.len = (int)strlen(word[6]);
        MQTTProperties_add(&message.properties, &pair);
    }
    must(MQTTAsync_sendMessage(client, word[0], &message, &options), "publish");
    free(message.payload);
}

static void subscribe(char *words)
{
    MQTTAsync_responseOptions options = response_options("subscribe");
    const char *filter = strsep(&words, " ");
    must(MQTTAsync_subscribe(client, filter, atoi(words), &options), "subscribe");
}

static void disconnect(void)
{
    MQTTAsync_disconnectOptions options = MQTTAsync_disconnectOptions_initializer;
    options.timeout = WAIT_MS;
    MQTTAsync_disconnect(client, &options);
    for (int waited_ms = 0; MQTTAsync_isConnected(client) && waited_ms < WAIT_MS; waited_ms += 10) {
        usleep(10000);
    }
}

int main(int argc, char **argv)
{
    (void)argc;
    given = argv + 1;
    setvbuf(stdout, NULL, _IOLBF, 1 << 16);
    is_5 = strcmp(argument("version"), "5") == 0;
    is_clean = strcmp(argument("clean"), "1") == 0;
    MQTTAsync_init_options start = MQTTAsync_init_options_initializer;
    start.do_openssl_init = 1;
    MQTTAsync_global_init(&start);
    connect_client();

    char *line = NULL;
    size_t size = 0;
    while (getline(&line, &size, stdin) > 0) {
        line[strcspn(line, "\n")] = 0;
        char *words = line;
        const char *command = strsep(&words, " ");
        if (strcmp(command, "subscribe") == 0) {
            subscribe(words);
        } else {
            publish(words);
        }
    }
    disconnect();
    return 0;
}
