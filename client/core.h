// The asynchronous client: every verb, by callback, on the loop of its clock. This is what runs in
// the simulator and under doozer::Client; include/doozer/client.h tells what each operation means
// and how it can end.
//
// One thread. No callback comes from inside a call. The core must not be destroyed from inside a
// callback; destroying it drops what is outstanding without a word (close() first tells everybody).
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "client/listing.h"
#include "client/session.h"
#include "client/watcher.h"
#include "doozer/types.h"

namespace doozer::client {

class Core {
 public:
  /// Dials nothing yet. `seed` decides where the round of addresses begins, and the jitter.
  /// Errors: bad_argument (the options). `clock` and `net` outlive the core.
  static Result<std::unique_ptr<Core>> make(env::Clock& clock, env::Net& net, Options options,
                                            uint64_t seed);

  void connect(Then<> then) { session_.connect(std::move(then)); }
  void close() { session_.close(); }
  Connection connection() const { return session_.connection(); }

  void get(std::string path, const ReadOptions& options, Then<File> then);
  void stat(std::string path, const ReadOptions& options, Then<Stat> then);
  void ls(std::string path, const ReadOptions& options, Then<doozer::Listing> then);
  void walk(std::string glob, const ReadOptions& options, Then<Files> then);
  /// `each` may end the walk by false.
  void walk_each(std::string glob, const ReadOptions& options, UniqueFunction<bool(File)> each,
                 Then<int64_t> then);
  void wait(std::string glob, int64_t revision, const WaitOptions& options, Then<Event> then);
  void rev(const ReadOptions& options, Then<int64_t> then);
  void self(const ReadOptions& options, Then<std::string> then);
  void status(const ReadOptions& options, Then<std::string> then);
  void set(std::string path, std::string value, int64_t revision, const WriteOptions& options,
           Then<int64_t> then);
  void del(std::string path, int64_t revision, const WriteOptions& options, Then<> then);
  void nop(const WriteOptions& options, Then<> then);
  void access(std::string secret, const WriteOptions& options, Then<> then);

  std::shared_ptr<Watcher> watch(std::string glob, Position from, Watcher::Handler handler);

 private:
  Core(env::Clock& clock, env::Net& net, Options options, uint64_t seed)
      : session_(clock, net, std::move(options), seed) {}
  Operation read(Call call, const ReadOptions& options) const;
  Operation write(Call call, const WriteOptions& options) const;
  void start(Operation operation, Then<Answer> then);

  Session session_;
};

}  // namespace doozer::client
