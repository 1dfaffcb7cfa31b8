/*
 * A program that runs a Waku node, of libwaku, and lets waku-chat accounts use it.
 *
 *   examples/c/run.sh              builds everything and runs this
 *   ./host DIRECTORY               writes the databases and an archive into that directory
 *
 * What happens:
 *
 * 1. The host creates its node, sets its event callback and starts it. (A second node, with an
 *    archive of past messages, stands for the rest of the network.)
 * 2. It attaches Alice and Bob to that one node. Carol has a node of her own, an embedded one.
 * 3. They exchange contact links, Alice creates a group, and all three write to it.
 * 4. Alice is closed. Bob and Carol go on. Bob is closed.
 * 5. The host still has its node, which sends and receives messages of the host's own.
 *
 * Everything runs on loopback. Exits with 0 if all of it succeeded, and says so.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "libwaku.h"
#include "waku_chat.h"

/* The network "fast", which is for tests and demonstrations: cluster 66, one shard. */
#define TOPIC "/waku/2/rs/66/0"
/* Far longer than anything here takes. */
#define PATIENCE_MS 120000
#define PATIENCE_S (PATIENCE_MS / 1000)

#define CHECK(what)                                                                    \
  do {                                                                                 \
    if (!(what)) {                                                                     \
      fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #what);               \
      exit(1);                                                                         \
    }                                                                                  \
  } while (0)

static struct timespec deadline(int seconds) {
  struct timespec at;
  clock_gettime(CLOCK_REALTIME, &at);
  at.tv_sec += seconds;
  return at;
}

/* printf into new memory. */
__attribute__((format(printf, 1, 2))) static char *text(const char *format, ...) {
  char *out = NULL;
  va_list arguments;
  va_start(arguments, format);
  CHECK(vasprintf(&out, format, arguments) >= 0);
  va_end(arguments);
  return out;
}

/* ---- The host's own side: libwaku -------------------------------------------------------------- */

/* An answer of libwaku. It comes once, on any thread. */
struct answer {
  pthread_mutex_t lock;
  pthread_cond_t news;
  int told, ret;
  char *text;
};

static void on_answer(int ret, const char *msg, size_t len, void *data) {
  struct answer *a = data;
  pthread_mutex_lock(&a->lock);
  a->told = 1;
  a->ret = ret;
  a->text = text("%.*s", (int)len, len > 0 ? msg : "");
  pthread_cond_signal(&a->news);
  pthread_mutex_unlock(&a->lock);
}

static struct answer *ask(void) {
  struct answer *a = calloc(1, sizeof *a);
  CHECK(a != NULL);
  pthread_mutex_init(&a->lock, NULL);
  pthread_cond_init(&a->news, NULL);
  return a;
}

/* Waits for the answer. The caller frees its text. */
static char *told(struct answer *a, int expected) {
  struct timespec at = deadline(PATIENCE_S);
  pthread_mutex_lock(&a->lock);
  while (!a->told) CHECK(pthread_cond_timedwait(&a->news, &a->lock, &at) == 0);
  pthread_mutex_unlock(&a->lock);
  if (expected == RET_OK && a->ret != RET_OK) fprintf(stderr, "libwaku: %s\n", a->text);
  CHECK(expected != RET_OK || a->ret == RET_OK);
  char *out = a->text;
  free(a);
  return out;
}

#define WAKU(function, ...)                                                            \
  __extension__({                                                                      \
    struct answer *a_ = ask();                                                         \
    CHECK(function(__VA_ARGS__, on_answer, a_) != RET_MISSING_CALLBACK);               \
    told(a_, RET_OK);                                                                  \
  })

/* A node with what the host keeps for it. It lives as long as the process. */
struct node {
  void *context;
  unsigned port;
  char *address;
  /* The clients that are attached to it; 0 is none. */
  _Atomic WakuChatClient clients[2];
  /* Messages of the host's own topic that came in. */
  pthread_mutex_t lock;
  pthread_cond_t news;
  int own;
};

/*
 * The node's event callback, which stays the host's. It runs on the node's thread: it counts the host's
 * own messages, passes the event on to all attached clients, and returns.
 */
static void on_event(int ret, const char *msg, size_t len, void *data) {
  struct node *node = data;
  if (ret == RET_OK && memmem(msg, len, "/host/1/raw/proto", 17) != NULL) {
    pthread_mutex_lock(&node->lock);
    node->own++;
    pthread_cond_signal(&node->news);
    pthread_mutex_unlock(&node->lock);
  }
  for (int i = 0; i < 2; i++) {
    WakuChatClient client = atomic_load(&node->clients[i]);
    if (client != 0) waku_chat_handle_event(client, ret, msg, len);
  }
}

static unsigned free_port(void) {
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t len = sizeof a;
  int s = socket(AF_INET, SOCK_STREAM, 0);
  CHECK(s >= 0 && bind(s, (struct sockaddr *)&a, len) == 0);
  CHECK(getsockname(s, (struct sockaddr *)&a, &len) == 0);
  close(s);
  return ntohs(a.sin_port);
}

static void start_node(struct node *node, const char *archive) {
  pthread_mutex_init(&node->lock, NULL);
  pthread_cond_init(&node->news, NULL);
  node->port = free_port();
  char *store = archive == NULL ? text("\"store\":false")
                                : text("\"store\":true,\"storeMessageDbUrl\":\"sqlite://%s\","
                                       "\"storeMessageRetentionPolicy\":\"time:3600\"",
                                       archive);
  char *config =
      text("{\"listenAddress\":\"127.0.0.1\",\"tcpPort\":%u,\"nat\":\"extip:127.0.0.1\","
           "\"clusterId\":66,\"shards\":[0],\"relay\":true,\"discv5Discovery\":false,"
           "\"dnsDiscovery\":false,\"peerExchange\":false,\"rendezvous\":false,"
           "\"logLevel\":\"FATAL\",\"colocationLimit\":0,"
           /* Or a node that has no peer asks public resolvers for a fixed name. */
           "\"dnsAddrsNameServers\":[\"127.0.0.1\"],%s}",
           node->port, store);
  struct answer *made = ask();
  node->context = waku_new(config, on_answer, made);
  CHECK(node->context != NULL);
  free(told(made, RET_OK));
  /* Before the node starts, and never again: libwaku reads it without a lock. */
  waku_set_event_callback(node->context, on_event, node);
  free(WAKU(waku_start, node->context));
  char *id = WAKU(waku_get_my_peerid, node->context);
  node->address = text("/ip4/127.0.0.1/tcp/%u/p2p/%s", node->port, id);
  free(id);
  free(config);
  free(store);
}

static void destroy_node(struct node *node) {
  free(WAKU(waku_stop, node->context));
  free(WAKU(waku_destroy, node->context));
  free(node->address);
}

/* Publishes messages of the host's own on one node until one has arrived at the other. */
static void raw_message(struct node *from, struct node *to) {
  pthread_mutex_lock(&to->lock);
  to->own = 0;
  pthread_mutex_unlock(&to->lock);
  for (int tries = 0; tries < PATIENCE_S; tries++) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    char *message = text("{\"payload\":\"aGVsbG8=\",\"contentTopic\":\"/host/1/raw/proto\","
                         "\"version\":0,\"timestamp\":%lld%09ld,\"ephemeral\":true}",
                         (long long)now.tv_sec, now.tv_nsec);
    struct answer *published = ask();
    CHECK(waku_relay_publish(from->context, TOPIC, message, 0, on_answer, published) !=
          RET_MISSING_CALLBACK);
    free(told(published, RET_ERR));
    free(message);
    struct timespec at = deadline(1);
    pthread_mutex_lock(&to->lock);
    while (to->own == 0 && pthread_cond_timedwait(&to->news, &to->lock, &at) == 0) {
    }
    int own = to->own;
    pthread_mutex_unlock(&to->lock);
    if (own > 0) return;
  }
  CHECK(!"a message of the host's own arrives");
}

/* ---- The plugin's side: waku-chat -------------------------------------------------------------- */

/* Reports an error and ends the program. */
static void fine(const char *who, const char *what, WakuChatCode code, char *error) {
  if (code != WAKU_CHAT_CODE_OK) {
    fprintf(stderr, "%s: %s: %d %s\n", who, what, (int)code, error != NULL ? error : "");
    exit(1);
  }
}

struct person {
  const char *name;
  WakuChatClient client;
  char *account;
};

static char *request(struct person *p, const char *method, const char *params) {
  char *result = NULL, *error = NULL;
  fine(p->name, method,
       waku_chat_request(p->client, method, params, PATIENCE_MS, &result, &error), error);
  return result;
}

/* The first member of a name that holds a text, in JSON that has no escapes in it. */
static char *member(const char *json, const char *name) {
  char *key = text("\"%s\":\"", name);
  const char *at = strstr(json, key);
  CHECK(at != NULL);
  at += strlen(key);
  free(key);
  return text("%.*s", (int)strcspn(at, "\""), at);
}

/* Reads events until one is of this type and contains this part. Acknowledges it and all before it. */
static char *await(struct person *p, const char *type, const char *part) {
  for (;;) {
    char *event = NULL, *error = NULL;
    fine(p->name, type, waku_chat_next_event(p->client, PATIENCE_MS, &event, &error), error);
    if (event == NULL) {
      fprintf(stderr, "%s: no %s with %s\n", p->name, type, part);
      exit(1);
    }
    char *wanted = text("\"type\":\"%s\"", type);
    int found = strstr(event, wanted) != NULL && strstr(event, part) != NULL;
    free(wanted);
    if (found) {
      const char *cursor = strstr(event, "\"cursor\":");
      CHECK(cursor != NULL);
      uint64_t number = strtoull(cursor + strlen("\"cursor\":"), NULL, 10);
      fine(p->name, "acknowledge", waku_chat_acknowledge(p->client, number, &error), error);
      char *out = text("%s", event);
      waku_chat_free_string(event);
      return out;
    }
    waku_chat_free_string(event);
  }
}

/* A new account: on the host's node if there is one, or else on a node of its own. */
static void open_person(struct person *p, const char *directory, struct node *host, int place,
                        const char *transport) {
  char *phrase = NULL, *error = NULL;
  fine(p->name, "a phrase", waku_chat_new_phrase(&phrase, &error), error);
  char *config = text("{\"database\":\"%s/%s.db\",\"passphrase\":\"%s knows it\",\"network\":\"fast\","
                      "\"create\":{\"phrase\":\"%s\"}%s}",
                      directory, p->name, p->name, phrase, transport);
  WakuChatCode code = host != NULL
                          ? waku_chat_attach(config, host->context, &p->client, &error)
                          : waku_chat_open(config, &p->client, &error);
  fine(p->name, "open", code, error);
  /* From here on the client gets the node's events. */
  if (host != NULL) atomic_store(&host->clients[place], p->client);
  memset(config, 0, strlen(config));
  free(config);
  waku_chat_free_string(phrase);

  char *identity = request(p, "identity", NULL);
  p->account = member(identity, "account");
  waku_chat_free_string(identity);
  printf("%s is %s\n", p->name, p->account);
}

/* Closes a client. Calls on it after that are errors and do no harm. */
static void close_person(struct person *p) {
  fine(p->name, "close", waku_chat_close(p->client), NULL);
  char *error = NULL;
  CHECK(waku_chat_close(p->client) == WAKU_CHAT_CODE_CLOSED);
  CHECK(waku_chat_request(p->client, "identity", NULL, 0, NULL, &error) == WAKU_CHAT_CODE_CLOSED);
  CHECK(error != NULL && strstr(error, "\"closed\"") != NULL);
  waku_chat_free_string(error);
  CHECK(waku_chat_handle_event(p->client, RET_OK, "{}", 2) == WAKU_CHAT_CODE_CLOSED);
  free(p->account);
  printf("%s is closed\n", p->name);
}

static char *add_contact(struct person *p, struct person *other) {
  char *link = request(other, "contact_link", NULL);
  char *params = text("{\"link\":%s,\"name\":\"%s\"}", link, other->name);
  char *contact = request(p, "add_contact", params);
  char *account = member(contact, "account");
  CHECK(strcmp(account, other->account) == 0);
  waku_chat_free_string(contact);
  waku_chat_free_string(link);
  free(params);
  return account;
}

static void join(struct person *p, const char *group) {
  char *event = await(p, "request_received", "Picnic");
  char *id = member(event, "id");
  char *params = text("{\"request\":\"%s\"}", id);
  waku_chat_free_string(request(p, "accept_request", params));
  free(params);
  free(id);
  free(event);
  free(await(p, "group_joined", group));
  printf("%s is in the group\n", p->name);
}

/* One sends a text, and the others read it. */
static void say(struct person *from, const char *group, const char *words, struct person *to[],
                int count) {
  char *message = NULL, *error = NULL;
  fine(from->name, "send",
       waku_chat_send(from->client, group, words, PATIENCE_MS, &message, &error), error);
  for (int i = 0; i < count; i++) {
    char *event = await(to[i], "message_received", words);
    CHECK(strstr(event, message) != NULL);
    CHECK(strstr(event, from->account) != NULL);
    printf("%s reads: %s\n", to[i]->name, words);
    free(event);
  }
  waku_chat_free_string(message);
}

int main(int argc, char **argv) {
  CHECK(argc == 2);
  const char *directory = argv[1];
  setvbuf(stdout, NULL, _IOLBF, 0);
  printf("waku-chat %s\n", waku_chat_version());

  static struct node host, archive;
  char *file = text("%s/archive.sqlite3", directory);
  start_node(&archive, file);
  start_node(&host, NULL);
  free(file);
  free(WAKU(waku_connect, host.context, archive.address, 10000));

  struct person alice = {.name = "alice"}, bob = {.name = "bob"}, carol = {.name = "carol"};
  open_person(&alice, directory, &host, 0, "");
  open_person(&bob, directory, &host, 1, "");
  char *embedded = text(",\"transport\":{\"embedded\":{\"peers\":[\"%s\",\"%s\"]}}", host.address,
                        archive.address);
  open_person(&carol, directory, NULL, 0, embedded);
  free(embedded);
  struct person *all[] = {&alice, &bob, &carol};
  for (int i = 0; i < 3; i++) {
    waku_chat_free_string(request(all[i], "wait_connected", NULL));
    waku_chat_free_string(request(all[i], "wait_caught_up", NULL));
  }

  char *to_bob = add_contact(&alice, &bob), *to_carol = add_contact(&alice, &carol);
  char *params =
      text("{\"name\":\"Picnic\",\"members\":[\"%s\",\"%s\"]}", to_bob, to_carol);
  char *created = request(&alice, "create_group", params);
  char *group = member(created, "id");
  waku_chat_free_string(created);
  free(params);
  free(to_bob);
  free(to_carol);
  join(&bob, group);
  join(&carol, group);

  say(&alice, group, "Who brings the cake?", (struct person *[]){&bob, &carol}, 2);
  say(&bob, group, "I do", (struct person *[]){&alice, &carol}, 2);
  say(&carol, group, "And I the tea", (struct person *[]){&alice, &bob}, 2);

  close_person(&alice);

  /* A client that cannot be attached leaves nothing behind at the node. */
  char *wrong = text("{\"database\":\"%s/alice.db\",\"passphrase\":\"x\",\"network\":\"fast\"}",
                     directory);
  char *error = NULL;
  CHECK(waku_chat_attach(wrong, host.context, &alice.client, &error) == WAKU_CHAT_CODE_DATABASE);
  CHECK(alice.client == 0 && strstr(error, "\"database_wrong_key\"") != NULL);
  waku_chat_free_string(error);
  free(wrong);

  say(&bob, group, "Alice is gone", (struct person *[]){&carol}, 1);
  say(&carol, group, "But we are here", (struct person *[]){&bob}, 1);
  close_person(&bob);

  /* No client uses the node any more, and it still works. */
  raw_message(&host, &archive);
  raw_message(&archive, &host);
  printf("the host still has its node\n");

  close_person(&carol);
  free(group);
  destroy_node(&host);
  destroy_node(&archive);
  printf("done\n");
  return 0;
}
