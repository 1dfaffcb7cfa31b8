/*
 * Walks through every function of libwaku's C interface on the library that it is linked with, and
 * through what a careless host does to it. Written against vendor/libwaku.h.
 *
 *   cc -std=c11 -Wall -Wextra -Werror -I vendor walk.c -L DIR -lwaku -lpthread -o walk && ./walk
 *
 * Exits with 0 if all went as expected; otherwise says where it did not.
 */
#define _GNU_SOURCE
#include "host.h"

/* ---- All functions that take a context, in one shape ------------------------------------------- */

typedef int (*thunk)(void *ctx, const char *s, WakuCallBack cb, void *data);
#define THUNK(name, ...)                                                               \
  static int t_##name(void *ctx, const char *s, WakuCallBack cb, void *data) {         \
    (void)s;                                                                           \
    return waku_##name(__VA_ARGS__, cb, data);                                         \
  }
THUNK(start, ctx)
THUNK(stop, ctx)
THUNK(version, ctx)
THUNK(content_topic, ctx, s, 1, s, s)
THUNK(pubsub_topic, ctx, s)
THUNK(default_pubsub_topic, ctx)
THUNK(relay_publish, ctx, s, s, 100)
THUNK(lightpush_publish, ctx, s, s)
THUNK(relay_subscribe, ctx, s)
THUNK(relay_add_protected_shard, ctx, 1, 1, (char *)(uintptr_t)s)
THUNK(relay_unsubscribe, ctx, s)
THUNK(filter_subscribe, ctx, s, s)
THUNK(filter_unsubscribe, ctx, s, s)
THUNK(filter_unsubscribe_all, ctx)
THUNK(relay_get_num_connected_peers, ctx, s)
THUNK(relay_get_connected_peers, ctx, s)
THUNK(relay_get_num_peers_in_mesh, ctx, s)
THUNK(relay_get_peers_in_mesh, ctx, s)
THUNK(store_query, ctx, s, s, 100)
THUNK(connect, ctx, s, 100)
THUNK(disconnect_peer_by_id, ctx, s)
THUNK(disconnect_all_peers, ctx)
THUNK(dial_peer, ctx, s, s, 100)
THUNK(dial_peer_by_id, ctx, s, s, 100)
THUNK(get_peerids_from_peerstore, ctx)
THUNK(get_connected_peers_info, ctx)
THUNK(get_peerids_by_protocol, ctx, s)
THUNK(listen_addresses, ctx)
THUNK(get_connected_peers, ctx)
THUNK(dns_discovery, ctx, s, s, 100)
THUNK(discv5_update_bootnodes, ctx, (char *)(uintptr_t)s)
THUNK(start_discv5, ctx)
THUNK(stop_discv5, ctx)
THUNK(get_my_enr, ctx)
THUNK(get_my_peerid, ctx)
THUNK(get_metrics, ctx)
THUNK(peer_exchange_request, ctx, 1)
THUNK(ping_peer, ctx, s, 100)
THUNK(is_online, ctx)
THUNK(destroy, ctx)

/* waku_destroy comes last: what is before it may be called on a node that has to go on. */
static const thunk all[] = {
    t_version, t_content_topic, t_pubsub_topic, t_default_pubsub_topic, t_start,
    t_relay_publish, t_lightpush_publish, t_relay_subscribe, t_relay_add_protected_shard,
    t_relay_unsubscribe, t_filter_subscribe, t_filter_unsubscribe, t_filter_unsubscribe_all,
    t_relay_get_num_connected_peers, t_relay_get_connected_peers, t_relay_get_num_peers_in_mesh,
    t_relay_get_peers_in_mesh, t_store_query, t_connect, t_disconnect_peer_by_id,
    t_disconnect_all_peers, t_dial_peer, t_dial_peer_by_id, t_get_peerids_from_peerstore,
    t_get_connected_peers_info, t_get_peerids_by_protocol, t_listen_addresses,
    t_get_connected_peers, t_dns_discovery, t_discv5_update_bootnodes, t_start_discv5,
    t_stop_discv5, t_get_my_enr, t_get_my_peerid, t_get_metrics, t_peer_exchange_request,
    t_ping_peer, t_is_online, t_stop, t_destroy};
#define COUNT (sizeof all / sizeof *all)
#define CONSTANTS 4

/* Every function on a context that is none. */
static void on_no_context(void *ctx) {
  for (size_t i = 0; i < COUNT; i++) {
    CHECK(all[i](ctx, "x", NULL, NULL) == RET_MISSING_CALLBACK);
    struct answer *a = ASK(all[i], ctx, "x");
    CHECK(a->ret == (i < CONSTANTS ? RET_OK : RET_ERR));
  }
  waku_set_event_callback(ctx, on_answer, NULL);
}

/* Every function but the last with a string that it cannot like. */
static void with_text(void *ctx, const char *text) {
  for (size_t i = 0; i < COUNT - 1; i++) ASK(all[i], ctx, text);
}

/* ---- The ways through -------------------------------------------------------------------------- */

static void bad_input(void) {
  CHECK(waku_new("{}", NULL, NULL) == NULL);
  const char *configs[] = {NULL,  "",          "[]",
                           "{",   "\"text\"",  "{\"tcpPort\":0}",
                           "null", "\xff\xfe", "{\"nodekey\":\"short\"}"};
  for (size_t i = 0; i < sizeof configs / sizeof *configs; i++) {
    /* There is a context all the same, which only answers errors. */
    void *ctx = create(configs[i], RET_ERR);
    FAILS(waku_start, ctx);
    FAILS(waku_get_my_peerid, ctx);
    OK(waku_destroy, ctx);
  }

  on_no_context(NULL);
  on_no_context((void *)(uintptr_t)0xdeadbeef);
  void *ctx = create_good(free_port(), 0);
  for (size_t i = 0; i < COUNT; i++)
    CHECK(all[i](ctx, "x", NULL, NULL) == RET_MISSING_CALLBACK);
  OK(waku_destroy, ctx);
  on_no_context(ctx);

  ctx = create_good(free_port(), 1);
  size_t size = 5 * 1024 * 1024;
  char *large = malloc(size + 1);
  CHECK(large != NULL);
  memset(large, '[', size);
  large[size] = 0;
  const char *texts[] = {NULL, "", "[]", "{}", ",", "\xff\xfe", "/waku/2/rs/66/0", "0x", large};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    with_text(ctx, texts[i]);
    OK(waku_start, ctx);
    with_text(ctx, texts[i]);
  }
  free(large);
  /* Alive and well. */
  OK(waku_start, ctx);
  CHECK(strlen(OK(waku_get_my_peerid, ctx)) > 20);
  OK(waku_destroy, ctx);
}

static void walk(void) {
  struct events ea = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, NULL, 0}, eb = ea;
  unsigned port_a = free_port(), port_b = free_port();
  void *a = create_good(port_a, 0), *b = create_good(port_b, 1);
  waku_set_event_callback(a, on_event, &ea);
  waku_set_event_callback(b, on_event, &eb);
  OK(waku_start, a);
  OK(waku_start, b);

  CHECK(strstr(OK(waku_version, a), "version / git commit hash: "));
  CHECK(!strcmp(OK(waku_content_topic, a, "app", 1, "name", "proto"), "/app/1/name/proto"));
  CHECK(!strcmp(OK(waku_pubsub_topic, a, "rs/66/0"), TOPIC));
  CHECK(!strcmp(OK(waku_default_pubsub_topic, a), "/waku/2/rs/0/0"));

  const char *id_a = OK(waku_get_my_peerid, a), *id_b = OK(waku_get_my_peerid, b);
  CHECK(!strncmp(OK(waku_get_my_enr, a), "enr:", 4));
  CHECK(!strcmp(OK(waku_is_online, a), "false"));
  char address_b[256];
  snprintf(address_b, sizeof address_b, "/ip4/127.0.0.1/tcp/%u/p2p/%s", port_b, id_b);
  CHECK(!strcmp(OK(waku_listen_addresses, b), address_b));
  OK(waku_connect, a, address_b, 20000);
  await_event(&ea, "\"connection_change\"");
  await_event(&ea, "\"MinimallyHealthy\"");
  await_event(&eb, "\"MinimallyHealthy\"");
  CHECK(!strcmp(OK(waku_is_online, a), "true"));

  CHECK(!strcmp(OK(waku_relay_get_num_connected_peers, a, TOPIC), "1"));
  CHECK(!strcmp(OK(waku_relay_get_connected_peers, a, TOPIC), id_b));
  CHECK(!strcmp(OK(waku_relay_get_num_peers_in_mesh, a, TOPIC), "1"));
  CHECK(!strcmp(OK(waku_relay_get_peers_in_mesh, a, TOPIC), id_b));
  CHECK(!strcmp(OK(waku_get_connected_peers, b), id_a));
  CHECK(!strcmp(OK(waku_get_peerids_from_peerstore, a), id_b));
  CHECK(!strcmp(OK(waku_get_peerids_by_protocol, a, "/vac/waku/store-query/3.0.0"), id_b));
  CHECK(strstr(OK(waku_get_connected_peers_info, a), id_b));
  CHECK(strstr(OK(waku_get_metrics, a), "libp2p_peers 1"));
  OK(waku_dial_peer, a, address_b, "/vac/waku/relay/2.0.0", 0);
  OK(waku_dial_peer_by_id, a, id_b, "/vac/waku/relay/2.0.0", 0);

  OK(waku_relay_subscribe, a, "/waku/2/rs/66/1");
  OK(waku_relay_unsubscribe, a, "/waku/2/rs/66/1");
  const char *hash = OK(waku_relay_publish, a, TOPIC,
                        "{\"payload\":\"aGVsbG8=\",\"contentTopic\":\"/walk/1/a/proto\"}", 0);
  CHECK(strlen(hash) == 66 && hash[0] == '0' && hash[1] == 'x');
  await_event(&ea, hash);
  await_event(&eb, hash);

  /* The message is archived a moment after it was relayed. */
  char query[512];
  snprintf(query, sizeof query,
           "{\"requestId\":\"r\",\"includeData\":true,\"paginationForward\":true,"
           "\"contentTopics\":[\"/walk/1/a/proto\"],\"messageHashes\":[\"%s\"]}", hash);
  const char *page = "";
  for (int i = 0; i < 1000 && !strstr(page, hash); i++)
    page = OK(waku_store_query, a, query, address_b, 20000);
  CHECK(strstr(page, hash) && strstr(page, "[104,101,108,108,111]") && strstr(page, "200"));

  OK(waku_filter_subscribe, a, TOPIC, "/walk/1/a/proto,/walk/1/b/proto");
  OK(waku_filter_unsubscribe, a, TOPIC, "/walk/1/a/proto");
  OK(waku_filter_unsubscribe_all, a);
  hash = OK(waku_lightpush_publish, a, TOPIC,
            "{\"payload\":\"aGk=\",\"contentTopic\":\"/walk/1/b/proto\"}");
  await_event(&ea, hash);
  await_event(&eb, hash);

  OK(waku_disconnect_peer_by_id, a, id_b);
  await_event(&ea, "\"Left\"");
  OK(waku_disconnect_all_peers, a);

  CHECK(strtoll(OK(waku_ping_peer, a, address_b, 10000), NULL, 10) > 0);
  char key[] = "02", nodes[] = "[]";
  CHECK(strstr(FAILS(waku_relay_add_protected_shard, a, 66, 0, key), "not served"));
  CHECK(strstr(FAILS(waku_dns_discovery, a, "enrtree://x@y", "127.0.0.1", 100), "not served"));
  CHECK(strstr(FAILS(waku_discv5_update_bootnodes, a, nodes), "not served"));
  CHECK(strstr(FAILS(waku_start_discv5, a), "not served"));
  CHECK(strstr(FAILS(waku_stop_discv5, a), "not served"));
  CHECK(strstr(FAILS(waku_peer_exchange_request, a, 1), "not served"));

  OK(waku_stop, a);
  OK(waku_destroy, a);
  OK(waku_destroy, b); /* without having stopped it */
  free(ea.text);
  free(eb.text);
}

/* ---- Calls out of callbacks -------------------------------------------------------------------- */

static void *inner_ctx;
static atomic_int inner_done;
static void *inner_places[2 * COUNT];
static int inner_returned[2 * COUNT];

/* Calls everything but waku_stop and waku_destroy on the node that calls back. */
static void from_callback(int which) {
  for (size_t i = 0; i < COUNT; i++) {
    size_t n = (size_t)which * COUNT + i;
    inner_places[n] = NULL;
    if (all[i] == t_destroy || all[i] == t_stop) continue;
    inner_places[n] = new_place();
    inner_returned[n] = all[i](inner_ctx, "x", on_answer, inner_places[n]);
  }
  waku_set_event_callback(inner_ctx, NULL, NULL);
  atomic_fetch_add(&inner_done, 1);
}

static void calling_answer(int ret, const char *msg, size_t len, void *data) {
  from_callback(1);
  on_answer(ret, msg, len, data);
}

static void calling_event(int ret, const char *msg, size_t len, void *data) {
  (void)ret, (void)msg, (void)len;
  from_callback(0);
  on_answer(RET_OK, "", 0, data);
}

static void destroying_answer(int ret, const char *msg, size_t len, void *data) {
  void *place = new_place();
  CHECK(waku_destroy(inner_ctx, on_answer, place) == RET_OK);
  CHECK(answers[(size_t)(uintptr_t)place].ret == RET_OK);
  on_answer(ret, msg, len, data);
}

static void callbacks(void) {
  inner_ctx = create_good(free_port(), 0);
  void *event = new_place();
  waku_set_event_callback(inner_ctx, calling_event, event);
  OK(waku_start, inner_ctx);
  /* Alone, so it fails; and is an event all the same. */
  FAILS(waku_relay_publish, inner_ctx, TOPIC,
        "{\"payload\":\"aGk=\",\"contentTopic\":\"/walk/1/a/proto\"}", 0);
  wait_for(RET_OK, event);
  void *place = new_place();
  wait_for(waku_get_my_peerid(inner_ctx, calling_answer, place), place);
  CHECK(atomic_load(&inner_done) == 2);
  for (size_t n = 0; n < 2 * COUNT; n++)
    if (inner_places[n] != NULL) wait_for(inner_returned[n], inner_places[n]);
  OK(waku_stop, inner_ctx);
  place = new_place();
  wait_for(waku_get_my_peerid(inner_ctx, destroying_answer, place), place);
  FAILS(waku_get_my_peerid, inner_ctx);
}

/* Requests that are under way when the node is destroyed are answered too. */
static void destroyed_meanwhile(void) {
  void *ctx = create_good(free_port(), 0), *other = create_good(free_port(), 0);
  OK(waku_start, ctx);
  /* Somebody who takes connections and never says a word. */
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t len = sizeof at;
  int silent = socket(AF_INET, SOCK_STREAM, 0);
  CHECK(silent >= 0 && bind(silent, (struct sockaddr *)&at, len) == 0 && listen(silent, 128) == 0);
  CHECK(getsockname(silent, (struct sockaddr *)&at, &len) == 0);
  char address[256];
  snprintf(address, sizeof address, "/ip4/127.0.0.1/tcp/%u/p2p/%s", ntohs(at.sin_port),
           OK(waku_get_my_peerid, other));
  void *places[64];
  for (size_t i = 0; i < 64; i++) {
    places[i] = new_place();
    CHECK(waku_connect(ctx, address, 0, on_answer, places[i]) == RET_OK);
  }
  OK(waku_destroy, ctx);
  for (size_t i = 0; i < 64; i++) {
    struct answer *a = &answers[(size_t)(uintptr_t)places[i]];
    CHECK(a->told == 1 && a->ret == RET_ERR);
  }
  close(silent);
  OK(waku_destroy, other);
}

int main(void) {
  new_place(); /* not NULL, so that a lost place shows */
  bad_input();
  walk();
  callbacks();
  destroyed_meanwhile();
  /* One answer for each call, now that no node is left to give another. */
  CHECK(answers[0].told == 0);
  for (size_t i = 1; i < used; i++) {
    CHECK(answers[i].told == 1);
    free(answers[i].text);
  }
  printf("%zu calls, each answered once\n", used - 1);
  return 0;
}
