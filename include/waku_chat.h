/*
 * The C interface of waku-chat: end-to-end encrypted group chat over Waku.
 *
 * docs/C-API.md is the manual: it describes the JSON and what may be called from which thread. In short:
 *
 * - Functions return a code; WAKU_CHAT_CODE_OK (0) is success. Where a function takes `error`, a failure
 *   writes {"code": "...", "message": "...", "retryable": false} there, which the caller frees.
 * - Texts are UTF-8 and end with a zero byte. Arguments stay the caller's; they must not change during
 *   the call and are not needed after it. Texts that a function writes to a place of the caller's are
 *   freed with waku_chat_free_string.
 * - A place for a result is emptied first. It must not be used by another call at the same time.
 * - Any thread may call any function at any time, with one exception: in a callback of a node that a
 *   client is attached to, only waku_chat_handle_event may be called.
 * - A client is a number. Using one that was closed is an error, not undefined behaviour.
 *
 * Generated from src/ffi by tests/header.rs: do not edit.
 */

#ifndef WAKU_CHAT_H
#define WAKU_CHAT_H

#include <stddef.h>
#include <stdint.h>

/**
 * A time without a limit, in milliseconds.
 */
#define WAKU_CHAT_NO_LIMIT -1

/**
 * What a function returns. The numbers do not change; later versions may add further ones. The JSON
 * of an error has a finer code, see docs/C-API.md.
 */
enum WakuChatCode
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * Success.
   */
  WAKU_CHAT_CODE_OK = 0,
  /**
   * A pointer that must not be NULL is NULL, or a text is not UTF-8 or too long.
   */
  WAKU_CHAT_CODE_INVALID_ARGUMENT = 1,
  /**
   * There is no such client: it was closed or never opened.
   */
  WAKU_CHAT_CODE_CLOSED = 2,
  /**
   * The configuration is not valid.
   */
  WAKU_CHAT_CODE_BAD_CONFIG = 3,
  /**
   * There is no such method, or it does not take these parameters.
   */
  WAKU_CHAT_CODE_BAD_REQUEST = 4,
  /**
   * The command was refused, and nothing was changed.
   */
  WAKU_CHAT_CODE_REFUSED = 5,
  /**
   * The time given was over before there was a result.
   */
  WAKU_CHAT_CODE_TIMEOUT = 6,
  /**
   * There is no account in the database, or there already is one, or it belongs to another network.
   */
  WAKU_CHAT_CODE_ACCOUNT = 7,
  /**
   * The database cannot be used: the key is wrong, another process uses it, or the disk is full.
   */
  WAKU_CHAT_CODE_DATABASE = 8,
  /**
   * The Waku node does not start, libwaku cannot be loaded, or no peer keeps history.
   */
  WAKU_CHAT_CODE_NODE = 9,
  /**
   * The operating system gave no thread or no randomness.
   */
  WAKU_CHAT_CODE_SYSTEM = 10,
  /**
   * A fault of this library.
   */
  WAKU_CHAT_CODE_INTERNAL = 11,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum WakuChatCode WakuChatCode;
#else
typedef int32_t WakuChatCode;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * A client: an open account. It is a number, never 0 and never reused.
 */
typedef uint64_t WakuChatClient;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * Opens an account, or creates one, on a Waku node of its own.
 *
 * @param config_json  a JSON object of at most 64 KiB, see docs/C-API.md
 * @param client       receives the client, or 0
 * @param error        receives the error as JSON, or NULL; may be NULL
 *
 * Blocks while the passphrase is stretched, the database opened and the node started: one or two
 * seconds. The configuration is not kept, and no error quotes it.
 */
WakuChatCode waku_chat_open(const char *config_json, WakuChatClient *client, char **error);

/**
 * Opens an account, or creates one, on a libwaku node that already runs in this process.
 *
 * @param config_json   as for waku_chat_open; "transport" is absent or "attached"
 * @param waku_context  what waku_new returned, started with waku_start
 * @param client        receives the client, or 0
 * @param error         receives the error as JSON, or NULL; may be NULL
 *
 * The node remains the host's: it is not started, stopped or destroyed here, and its event callback
 * stays set. The host passes the node's events on with waku_chat_handle_event, and does not destroy
 * the node before waku_chat_close has returned WAKU_CHAT_CODE_OK. Several clients can be attached to
 * one node.
 */
WakuChatCode waku_chat_attach(const char *config_json,
                              void *waku_context,
                              WakuChatClient *client,
                              char **error);

/**
 * Closes a client. Calls on it that are under way return WAKU_CHAT_CODE_CLOSED, and so do all later
 * calls, including a second waku_chat_close.
 *
 * @param client  the client
 * @return WAKU_CHAT_CODE_OK: the database is closed, and no thread or descriptor of the client is
 *         left.
 *         WAKU_CHAT_CODE_TIMEOUT, for an attached client only: the client is closed, but the node has
 *         not yet taken a request that was under way. Do not destroy the node; call this again.
 *         WAKU_CHAT_CODE_CLOSED: there is no such client, or another thread is closing it.
 *
 * While there is a connection, messages that are not sent yet get up to 5 seconds, and 5 more to be
 * published where confirmations come at once; what is not is sent the next time. A libwaku node of
 * the client's own takes up to 11 seconds to stop.
 */
WakuChatCode waku_chat_close(WakuChatClient client);

/**
 * Calls a method: everything that an account can do, by the names in docs/C-API.md.
 *
 * @param client       the client
 * @param method       the method's name
 * @param params_json  the parameters, a JSON object of at most 1 MiB; NULL if there are none
 * @param timeout_ms   time to wait for the result; negative: no limit
 * @param result       receives the result as JSON, or NULL; may be NULL
 * @param error        receives the error as JSON, or NULL; may be NULL
 *
 * A command that timed out may still be carried out.
 */
WakuChatCode waku_chat_request(WakuChatClient client,
                               const char *method,
                               const char *params_json,
                               int64_t timeout_ms,
                               char **result,
                               char **error);

/**
 * Sends a text to a group: the method "send". When this returns the text is on disk; it is published
 * as soon as there is a connection.
 *
 * @param client      the client
 * @param group       the group's id
 * @param text        the text, in UTF-8
 * @param timeout_ms  time to wait; negative: no limit
 * @param message     receives the message's hash, by which events and the history name it, or NULL;
 *                    may be NULL
 * @param error       receives the error as JSON, or NULL; may be NULL
 */
WakuChatCode waku_chat_send(WakuChatClient client,
                            const char *group,
                            const char *text,
                            int64_t timeout_ms,
                            char **message,
                            char **error);

/**
 * Waits for the next event.
 *
 * @param client      the client
 * @param timeout_ms  time to wait; 0: return at once; negative: wait until there is an event or the
 *                    client is closed
 * @param event_json  receives {"event": {"type": ...}, "cursor": ...}, or NULL if there was no event
 *                    in time, which is not an error
 * @param error       receives the error as JSON, or NULL; may be NULL
 *
 * Events come in order, each once while the client is open. When the account is opened again, those
 * that were not acknowledged with waku_chat_acknowledge come again. Several threads may wait: each
 * event goes to one of them.
 */
WakuChatCode waku_chat_next_event(WakuChatClient client,
                                  int64_t timeout_ms,
                                  char **event_json,
                                  char **error);

/**
 * Forgets all events up to a cursor: the host has dealt with them. The same as the method
 * "acknowledge".
 *
 * @param client  the client
 * @param cursor  the cursor of the last event that was dealt with
 * @param error   receives the error as JSON, or NULL; may be NULL
 */
WakuChatCode waku_chat_acknowledge(WakuChatClient client, uint64_t cursor, char **error);

/**
 * Passes on an event of an attached node: the arguments of the node's event callback.
 *
 * @param client  an attached client
 * @param ret     the callback's first argument; RET_OK (0) comes with an event
 * @param msg     the event's text; may be NULL if len is 0
 * @param len     the text's length in bytes
 *
 * This is made to be called from that callback, and it is the only function that may be called there:
 * it copies the event and returns, and neither waits nor calls libwaku. Any thread may call it, also
 * several at once. On a closed client it only returns WAKU_CHAT_CODE_CLOSED. If events come faster
 * than the client can process them, the oldest are dropped, and what they carried is fetched from a
 * Store.
 */
WakuChatCode waku_chat_handle_event(WakuChatClient client,
                                    int ret,
                                    const char *msg,
                                    size_t len);

/**
 * Makes a recovery phrase for a new account, for "create" in the configuration. It is the account:
 * show it to the user once, to be written down, and do not store it.
 *
 * @param phrase  receives 24 words
 * @param error   receives the error as JSON, or NULL; may be NULL
 */
WakuChatCode waku_chat_new_phrase(char **phrase, char **error);

/**
 * Overwrites and frees a text that a function of this library returned. NULL is allowed.
 */
void waku_chat_free_string(char *text);

/**
 * The version of this library, such as "1.2.3". Not to be freed.
 */
const char *waku_chat_version(void);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* WAKU_CHAT_H */
