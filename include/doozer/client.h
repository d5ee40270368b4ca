// A client of a Doozer cluster, for programs with threads. It keeps one connection, finds another
// server when that breaks, resumes what can be resumed and says plainly what cannot.
//
//   auto client = doozer::Client::connect(*doozer::parse_uri("doozer:?ca=127.0.0.1:8046"));
//   auto revision = client->set("/app/motd", "hello", doozer::kMissing);
//   auto file = client->get("/app/motd");
//
// Each operation comes in up to three forms:
//   get(...)         blocks the calling thread
//   async_get(...)   calls back once, on the library's thread
//   future_get(...)  gives a std::future
//
// What is promised:
// - A write is sent at most once. If its connection breaks before the answer, the error is
//   Code::unknown_outcome: it may have happened, or may happen yet. With every other error it has
//   not happened (doozer/result.h).
// - Reads, waits, watches and listings are repeated over new connections until their time limit.
// - The client's view never goes back: a read at one server sees whatever was seen at another
//   before (servers with the extensions only).
// - Reads are linearizable unless ReadOptions::local says otherwise.
//
// Any thread may call anything at any time. Blocking calls from within a callback fail with
// Code::bad_argument (they would wait for themselves); use the async form there.
#pragma once

#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "doozer/result.h"
#include "doozer/types.h"
#include "doozer/uri.h"

namespace doozer {

/// Called exactly once with the outcome. The library's thread waits for it: do little there.
template <typename T = void>
using Callback = std::function<void(Result<T>)>;

/// A stream of events that is asked for one at a time. Moves, does not copy; destroying it ends the
/// watch. It may outlive its Client, and then says Code::closed.
class Watch {
 public:
  Watch() = default;
  Watch(Watch&&) noexcept = default;
  Watch& operator=(Watch&&) noexcept;
  ~Watch();

  /// The next event, in order, none left out, none twice, whatever became of the connection.
  /// Errors: timed_out (nothing within `timeout`; ask again), closed (cancelled, or the client is
  /// closed), too_late (what comes next has left the server's history; the message tells the oldest
  /// revision if the server did: read the present state and begin anew), bad_glob,
  /// permission_denied.
  /// One thread at a time.
  Result<Event> next(Duration timeout = kNoTimeout);
  /// Where the event after the last one given out stands: begin there later to miss nothing.
  Position position() const;
  /// Wakes next(), from any thread.
  void cancel();

 private:
  friend class Client;
  struct State;
  explicit Watch(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;
};

/// Ends a callback watch when destroyed or cancelled.
class WatchHandle {
 public:
  WatchHandle() = default;
  WatchHandle(WatchHandle&&) noexcept = default;
  WatchHandle& operator=(WatchHandle&&) noexcept;
  ~WatchHandle();
  /// From any thread but the library's, the handler is not running and will not run afterwards.
  void cancel();

 private:
  friend class Client;
  struct State;
  explicit WatchHandle(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;
};

class Client {
 public:
  /// Blocks until a server has answered (or all have failed, see Options::wait_for_server).
  /// Errors: bad_argument (options), refused, timed_out, io_error (no server could be reached; the
  /// message names each address's last failure), permission_denied (secret or certificate),
  /// conflict (another cluster).
  static Result<Client> connect(Options options);
  /// Like connect(Options) with what the URI says.
  static Result<Client> connect(std::string_view uri);
  /// At once, without waiting for any server; requests wait for the connection until their time
  /// limits. Errors: bad_argument.
  static Result<Client> make(Options options);

  Client(Client&&) noexcept = default;
  Client& operator=(Client&&) noexcept;
  /// close().
  ~Client();
  /// Everything outstanding ends: unsent requests and reads with Code::closed, writes that were
  /// sent with Code::unknown_outcome. Later calls fail with Code::closed. Not from a callback.
  void close();

  Connection connection() const;

  // --- Reads. Common errors: timed_out, too_late, permission_denied, unsupported (a linearizable
  // read from an old server), read_only (linearizable, but no majority can be reached), closed,
  // busy (over a limit of client/limits.h), too_large (a path or glob of more than 4 KiB).

  /// A missing file is no error: see File::exists(). Errors: bad_path, is_directory.
  Result<File> get(std::string_view path, const ReadOptions& options = {});
  /// A missing or impossible path is no error: it is Kind::missing.
  Result<Stat> stat(std::string_view path, const ReadOptions& options = {});
  /// The whole directory at one revision. Errors: not_found, not_directory, bad_path.
  Result<Listing> ls(std::string_view path, const ReadOptions& options = {});
  /// All files that match at one revision. Errors: bad_glob. Nothing matches: empty.
  Result<Files> walk(std::string_view glob, const ReadOptions& options = {});
  /// walk() for what should not be held in memory at once: `each` is called in order on the
  /// library's thread; if it returns false the walk ends there, without error. Gives the revision
  /// walked. The time limit runs anew with each answer. `each` must not call blocking functions.
  Result<int64_t> walk_each(std::string_view glob, const ReadOptions& options,
                            std::function<bool(File)> each);
  /// The first event at or after `revision` whose path matches, past or future. Errors: bad_glob.
  Result<Event> wait(std::string_view glob, int64_t revision, const WaitOptions& options = {});
  /// The newest revision of the store. `options.revision` has no effect.
  Result<int64_t> rev(const ReadOptions& options = {});
  /// The identity of the server at hand, 16 base32 characters.
  Result<std::string> self(const ReadOptions& options = {});
  /// JSON about the server at hand and its cluster. Errors: unsupported (an old server).
  Result<std::string> status(const ReadOptions& options = {});

  // --- Writes. Common errors: timed_out (not sent), unknown_outcome, read_only, permission_denied,
  // too_large, no_space, busy, closed, other (the server's words).

  /// The new revision. Passes if nothing newer than `revision` is in the file (kMissing,
  /// kAnyRevision). Errors: revision_mismatch, bad_path, is_directory, not_directory.
  Result<int64_t> set(std::string_view path, std::string_view value, int64_t revision,
                      const WriteOptions& options = {});
  /// Deleting a missing file is no error. Errors: revision_mismatch, bad_path, is_directory.
  Result<> del(std::string_view path, int64_t revision, const WriteOptions& options = {});
  /// Takes a revision and changes nothing; waits that match "/" hear of it.
  Result<> nop(const WriteOptions& options = {});
  /// Shows another secret on this connection and on all later ones; rights once granted stay. A
  /// wrong one is permission_denied and is forgotten.
  Result<> access(std::string_view secret, const WriteOptions& options = {});

  // --- Watching: every event from a position on, over any number of connections.

  /// `from` is the first position wanted; revision 0: what happens after now. Errors: bad_glob is
  /// told by next(); closed, busy at once.
  Result<Watch> watch(std::string_view glob, Position from = {});
  /// Calls `handler` on the library's thread for each event; an error is the last call (codes as
  /// Watch::next()). Must be kept as long as the watch shall live.
  Result<WatchHandle> watch(std::string_view glob, Position from,
                            std::function<void(Result<Event>)> handler);

  // --- The same with callbacks. `then` may be called before these return only if the client is
  // closed or a limit is passed.

  void async_get(std::string path, const ReadOptions& options, Callback<File> then);
  void async_stat(std::string path, const ReadOptions& options, Callback<Stat> then);
  void async_ls(std::string path, const ReadOptions& options, Callback<Listing> then);
  void async_walk(std::string glob, const ReadOptions& options, Callback<Files> then);
  void async_walk_each(std::string glob, const ReadOptions& options, std::function<bool(File)> each,
                       Callback<int64_t> then);
  void async_wait(std::string glob, int64_t revision, const WaitOptions& options,
                  Callback<Event> then);
  void async_rev(const ReadOptions& options, Callback<int64_t> then);
  void async_self(const ReadOptions& options, Callback<std::string> then);
  void async_status(const ReadOptions& options, Callback<std::string> then);
  void async_set(std::string path, std::string value, int64_t revision, const WriteOptions& options,
                 Callback<int64_t> then);
  void async_del(std::string path, int64_t revision, const WriteOptions& options, Callback<> then);
  void async_nop(const WriteOptions& options, Callback<> then);
  void async_access(std::string secret, const WriteOptions& options, Callback<> then);

  // --- The same with futures; a future may outlive the client.

  std::future<Result<File>> future_get(std::string path, const ReadOptions& options = {});
  std::future<Result<Stat>> future_stat(std::string path, const ReadOptions& options = {});
  std::future<Result<Event>> future_wait(std::string glob, int64_t revision,
                                         const WaitOptions& options = {});
  std::future<Result<int64_t>> future_set(std::string path, std::string value, int64_t revision,
                                          const WriteOptions& options = {});
  std::future<Result<>> future_del(std::string path, int64_t revision,
                                   const WriteOptions& options = {});

 private:
  struct Impl;
  explicit Client(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};

/// The addresses under /ctl/ns/NAME in the cluster that `boot` names. Errors: as connect(), and
/// not_found if there are none.
Result<std::vector<std::string>> lookup_cluster(const Options& boot, std::string_view name);

}  // namespace doozer
