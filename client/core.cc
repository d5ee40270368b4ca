#include "client/core.h"

#include "base/bytes.h"
#include "base/limits.h"
#include "base/result.h"
#include "base/units.h"
#include "client/limits.h"
#include "client/options.h"

namespace doozer::client {
namespace {

constexpr int64_t kDirectoryRevision = -2;  ///< what STAT says of a directory

Result<> check_path(Verb verb, std::string_view path) {
  if (path.size() <= kPathBytesMax) return {};
  return fail(Code::too_large, std::string(verb_name(verb)) + " " + quote(path) +
                                   ": the path has " + std::to_string(path.size()) + " bytes, " +
                                   std::to_string(kPathBytesMax) + " are allowed (kPathBytesMax)");
}

Result<> check_sizes(const Call& call, const Options& options) {
  TRY(check_path(call.verb, call.path));
  if (call.verb == Verb::access) {
    if (call.value.size() <= kSecretBytesMax) return {};
    return fail(Code::too_large, "access: the secret is longer than " +
                                     std::to_string(kSecretBytesMax) + " bytes (kSecretBytesMax)");
  }
  if (call.value.size() <= options.value_bytes_max) return {};
  return fail(Code::too_large, std::string(verb_name(call.verb)) + " " + quote(call.path) +
                                   ": the value has " + std::to_string(call.value.size()) +
                                   " bytes, " + format_size(options.value_bytes_max) +
                                   " are allowed (Options::value_bytes_max)");
}

Stat to_stat(const Answer& answer) {
  if (answer.rev == kDirectoryRevision) {
    return {.kind = Stat::Kind::directory, .length = answer.len};
  }
  if (answer.rev == 0) return {};
  return {.kind = Stat::Kind::file, .revision = answer.rev, .length = answer.len};
}

File to_file(Answer answer) {
  return {.path = std::move(answer.path), .value = std::move(answer.value), .revision = answer.rev};
}

template <typename T>
void fail_later(env::Clock& clock, Then<T> then, Error error) {
  clock.post([then = std::move(then), error = std::move(error)]() mutable {
    then(fail(std::move(error)));
  });
}

/// Passes an error on; else what `convert` makes of the answer.
template <typename T, typename Convert>
Then<Answer> converted(Then<T> then, Convert convert) {
  return [then = std::move(then), convert = std::move(convert)](Result<Answer> answer) mutable {
    if (!answer) {
      then(fail(std::move(answer).error()));
    } else {
      then(convert(std::move(*answer)));
    }
  };
}

Then<Answer> without_value(Then<> then) {
  return [then = std::move(then)](Result<Answer> answer) mutable {
    if (!answer) {
      then(fail(std::move(answer).error()));
    } else {
      then({});
    }
  };
}

}  // namespace

Result<std::unique_ptr<Core>> Core::make(env::Clock& clock, env::Net& net, Options options,
                                         uint64_t seed) {
  TRY_ASSIGN(Options checked, check_options(std::move(options)));
  return std::unique_ptr<Core>(new Core(clock, net, std::move(checked), seed));
}

Operation Core::read(Call call, const ReadOptions& options) const {
  Operation operation;
  operation.consistency = options.local ? Consistency::monotonic : Consistency::required;
  if (options.revision > 0 && call.verb != Verb::rev) {
    // The state of one revision is the same everywhere and for ever.
    call.rev = options.revision;
    operation.consistency = Consistency::none;
  }
  operation.call = std::move(call);
  operation.deadline_us =
      deadline_us(session_.clock().now_us(), options.timeout, session_.options().request_timeout);
  return operation;
}

Operation Core::write(Call call, const WriteOptions& options) const {
  Operation operation;
  operation.call = std::move(call);
  operation.writes = true;
  operation.deadline_us =
      deadline_us(session_.clock().now_us(), options.timeout, session_.options().request_timeout);
  return operation;
}

void Core::start(Operation operation, Then<Answer> then) {
  if (Result<> checked = check_sizes(operation.call, session_.options()); !checked) {
    fail_later(session_.clock(), std::move(then), std::move(checked).error());
    return;
  }
  if (operation.deadline_us <= session_.clock().now_us()) {
    fail_later(session_.clock(), std::move(then),
               {Code::timed_out, std::string(verb_name(operation.call.verb)) +
                                     ": not sent: a time limit of 0 or less has passed already"});
    return;
  }
  operation.then = std::move(then);
  session_.start(std::move(operation));
}

// --- Reads

void Core::get(std::string path, const ReadOptions& options, Then<File> then) {
  start(read({.verb = Verb::get, .path = path}, options),
        converted(std::move(then), [path](Answer answer) -> Result<File> {
          answer.path = path;
          return to_file(std::move(answer));
        }));
}

void Core::stat(std::string path, const ReadOptions& options, Then<Stat> then) {
  start(read({.verb = Verb::stat, .path = std::move(path)}, options),
        converted(std::move(then),
                  [](const Answer& answer) -> Result<Stat> { return to_stat(answer); }));
}

void Core::ls(std::string path, const ReadOptions& options, Then<doozer::Listing> then) {
  ListRequest request{.verb = Verb::getdir, .path = std::move(path), .options = options};
  if (Result<> checked = check_path(request.verb, request.path); !checked) {
    fail_later(session_.clock(), std::move(then), std::move(checked).error());
    return;
  }
  auto listing = std::make_shared<doozer::Listing>();
  Listing::start(
      session_, std::move(request),
      [listing](Answer answer) {
        listing->names.push_back(std::move(answer.path));
        return true;
      },
      [listing, then = std::move(then)](Result<int64_t> revision) mutable {
        if (!revision) {
          then(fail(std::move(revision).error()));
          return;
        }
        listing->revision = *revision;
        then(std::move(*listing));
      });
}

void Core::walk(std::string glob, const ReadOptions& options, Then<Files> then) {
  auto files = std::make_shared<Files>();
  walk_each(
      std::move(glob), options,
      [files](File file) {
        files->files.push_back(std::move(file));
        return true;
      },
      [files, then = std::move(then)](Result<int64_t> revision) mutable {
        if (!revision) {
          then(fail(std::move(revision).error()));
          return;
        }
        files->revision = *revision;
        then(std::move(*files));
      });
}

void Core::walk_each(std::string glob, const ReadOptions& options, UniqueFunction<bool(File)> each,
                     Then<int64_t> then) {
  ListRequest request{.verb = Verb::walk, .path = std::move(glob), .options = options};
  if (Result<> checked = check_path(request.verb, request.path); !checked) {
    fail_later(session_.clock(), std::move(then), std::move(checked).error());
    return;
  }
  Listing::start(
      session_, std::move(request),
      [each = std::move(each)](Answer answer) mutable { return each(to_file(std::move(answer))); },
      std::move(then));
}

void Core::wait(std::string glob, int64_t revision, const WaitOptions& options, Then<Event> then) {
  Operation operation;
  operation.call = {.verb = Verb::wait, .path = std::move(glob), .rev = revision};
  operation.deadline_us = deadline_us(session_.clock().now_us(), options.timeout, kNoTimeout);
  start(std::move(operation),
        converted(std::move(then), [](const Answer& answer) { return to_event(answer, 0); }));
}

void Core::rev(const ReadOptions& options, Then<int64_t> then) {
  start(read({.verb = Verb::rev}, options),
        converted(std::move(then),
                  [](const Answer& answer) -> Result<int64_t> { return answer.rev; }));
}

void Core::self(const ReadOptions& options, Then<std::string> then) {
  Operation operation = read({.verb = Verb::self}, options);
  operation.call.rev.reset();
  operation.consistency = Consistency::none;
  start(std::move(operation), converted(std::move(then), [](Answer answer) -> Result<std::string> {
          return std::move(answer.value);
        }));
}

void Core::status(const ReadOptions& options, Then<std::string> then) {
  Operation operation = read({.verb = Verb::status}, options);
  operation.call.rev.reset();
  operation.consistency = Consistency::none;
  start(std::move(operation), [then = std::move(then)](Result<Answer> answer) mutable {
    if (answer) {
      then(std::move(answer->value));
    } else if (answer.error().code == Code::unknown_verb) {
      then(fail(Code::unsupported, "status: the server is too old to tell it"));
    } else {
      then(fail(std::move(answer).error()));
    }
  });
}

// --- Writes

void Core::set(std::string path, std::string value, int64_t revision, const WriteOptions& options,
               Then<int64_t> then) {
  start(
      write(
          {.verb = Verb::set, .path = std::move(path), .value = std::move(value), .rev = revision},
          options),
      converted(std::move(then),
                [](const Answer& answer) -> Result<int64_t> { return answer.rev; }));
}

void Core::del(std::string path, int64_t revision, const WriteOptions& options, Then<> then) {
  start(write({.verb = Verb::del, .path = std::move(path), .rev = revision}, options),
        without_value(std::move(then)));
}

void Core::nop(const WriteOptions& options, Then<> then) {
  start(write({.verb = Verb::nop}, options), without_value(std::move(then)));
}

void Core::access(std::string secret, const WriteOptions& options, Then<> then) {
  // Showing a secret twice does no harm, so it is repeated like a read.
  Operation operation = write({.verb = Verb::access, .value = secret}, options);
  operation.writes = false;
  start(std::move(operation),
        [this, secret = std::move(secret), then = std::move(then)](Result<Answer> answer) mutable {
          if (!answer) {
            then(fail(std::move(answer).error()));
            return;
          }
          session_.set_secret(std::move(secret));
          then({});
        });
}

std::shared_ptr<Watcher> Core::watch(std::string glob, Position from, Watcher::Handler handler) {
  // One that is too long is bad at any server; cut, it is still bad, and small enough to be told
  // so.
  if (glob.size() > kPathBytesMax + 1) glob.resize(kPathBytesMax + 1);
  return Watcher::start(session_, std::move(glob), from, std::move(handler));
}

}  // namespace doozer::client
