/*
 * A host of nodes for walk.c: calls functions and waits for their answers and events.
 */
#ifndef HOST_H
#define HOST_H

#include <arpa/inet.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "libwaku.h"

#define TOPIC "/waku/2/rs/66/0"
#define PATIENCE_S 60

#define CHECK(what)                                                                    \
  do {                                                                                 \
    if (!(what)) {                                                                     \
      fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #what);               \
      exit(1);                                                                         \
    }                                                                                  \
  } while (0)

/* ---- Answers: a place for each call, kept to the end, so that a second answer would be seen ---- */

struct answer {
  int told; /* how often */
  int ret;
  char *text;
};

#define MAX_ANSWERS 4096
static struct answer answers[MAX_ANSWERS];
static size_t used;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t news = PTHREAD_COND_INITIALIZER;

static void on_answer(int ret, const char *msg, size_t len, void *data) {
  pthread_mutex_lock(&lock);
  struct answer *a = &answers[(size_t)(uintptr_t)data];
  a->told++;
  a->ret = ret;
  free(a->text);
  a->text = malloc(len + 1);
  CHECK(a->text != NULL);
  if (len > 0) memcpy(a->text, msg, len);
  a->text[len] = 0;
  pthread_cond_broadcast(&news);
  pthread_mutex_unlock(&lock);
}

static void *new_place(void) {
  pthread_mutex_lock(&lock);
  CHECK(used < MAX_ANSWERS);
  size_t place = used++;
  pthread_mutex_unlock(&lock);
  return (void *)(uintptr_t)place;
}

static struct timespec deadline(void) {
  struct timespec at;
  clock_gettime(CLOCK_REALTIME, &at);
  at.tv_sec += PATIENCE_S;
  return at;
}

/* Waits for the answer; checks that it goes with what the call returned. */
static struct answer *wait_for(int returned, void *place) {
  struct answer *a = &answers[(size_t)(uintptr_t)place];
  struct timespec at = deadline();
  pthread_mutex_lock(&lock);
  while (a->told == 0) CHECK(pthread_cond_timedwait(&news, &lock, &at) == 0);
  pthread_mutex_unlock(&lock);
  CHECK(returned == RET_OK || a->ret == RET_ERR);
  return a;
}

/* Calls `f(...)`, its callback and its place added, and gives the answer. */
#define ASK(f, ...)                                                                    \
  __extension__({                                                                      \
    void *place_ = new_place();                                                        \
    int returned_ = f(__VA_ARGS__, on_answer, place_);                                 \
    wait_for(returned_, place_);                                                       \
  })
#define OK(f, ...)                                                                     \
  __extension__({                                                                      \
    struct answer *a_ = ASK(f, __VA_ARGS__);                                           \
    if (a_->ret != RET_OK)                                                             \
      fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #f, a_->text);            \
    CHECK(a_->ret == RET_OK);                                                          \
    a_->text;                                                                          \
  })
#define FAILS(f, ...)                                                                  \
  __extension__({                                                                      \
    struct answer *a_ = ASK(f, __VA_ARGS__);                                           \
    if (a_->ret != RET_ERR)                                                            \
      fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #f, a_->text);            \
    CHECK(a_->ret == RET_ERR && a_->text[0] != 0);                                     \
    a_->text;                                                                          \
  })

/* ---- Events ------------------------------------------------------------------------------------ */

struct events {
  pthread_mutex_t lock;
  pthread_cond_t news;
  char *text; /* all of them, one a line */
  size_t len;
};

static void on_event(int ret, const char *msg, size_t len, void *data) {
  struct events *e = data;
  CHECK(ret == RET_OK);
  pthread_mutex_lock(&e->lock);
  e->text = realloc(e->text, e->len + len + 2);
  CHECK(e->text != NULL);
  memcpy(e->text + e->len, msg, len);
  e->len += len;
  e->text[e->len++] = '\n';
  e->text[e->len] = 0;
  pthread_cond_broadcast(&e->news);
  pthread_mutex_unlock(&e->lock);
}

static void await_event(struct events *e, const char *part) {
  struct timespec at = deadline();
  pthread_mutex_lock(&e->lock);
  while (e->text == NULL || strstr(e->text, part) == NULL) {
    if (pthread_cond_timedwait(&e->news, &e->lock, &at) != 0) {
      fprintf(stderr, "no event with %s in\n%s\n", part, e->text ? e->text : "");
      exit(1);
    }
  }
  pthread_mutex_unlock(&e->lock);
}

/* ---- Nodes ------------------------------------------------------------------------------------- */

static unsigned free_port(void) {
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t len = sizeof a;
  int s = socket(AF_INET, SOCK_STREAM, 0);
  CHECK(s >= 0 && bind(s, (struct sockaddr *)&a, len) == 0);
  CHECK(getsockname(s, (struct sockaddr *)&a, &len) == 0);
  close(s);
  return ntohs(a.sin_port);
}

static void *create(const char *config, int expected) {
  void *place = new_place();
  void *ctx = waku_new(config, on_answer, place);
  CHECK(ctx != NULL);
  CHECK(wait_for(RET_OK, place)->ret == expected);
  return ctx;
}

static void *create_good(unsigned port, int server) {
  char config[512];
  const char *serves = server ? "true" : "false";
  snprintf(config, sizeof config,
           "{\"listenAddress\":\"127.0.0.1\",\"tcpPort\":%u,\"nat\":\"extip:127.0.0.1\","
           "\"clusterId\":66,\"shards\":[0],\"relay\":true,\"discv5Discovery\":false,"
           "\"dnsDiscovery\":false,\"peerExchange\":false,\"rendezvous\":false,"
           "\"logLevel\":\"NONE\",\"store\":%s,\"storeMessageDbUrl\":\"sqlite://:memory:\","
           "\"filter\":%s,\"lightpush\":%s,\"colocationLimit\":0,\"thisIsUnknown\":[1,2]}",
           port, serves, serves, serves);
  return create(config, RET_OK);
}

#endif
