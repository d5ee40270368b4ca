// A door turns the bytes of one client connection into commands and reads, and their outcomes into
// bytes. It has no socket, no clock and no thread; the server's connection feeds it and sends what
// it leaves in output(). One class per protocol.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/budget.h"
#include "base/limits.h"
#include "base/result.h"
#include "base/types.h"
#include "core/machine.h"
#include "door/event_answers.h"
#include "door/limits.h"

namespace doozer::door {

/// How a write ended. A completion is called exactly once, never from inside submit().
struct WriteOutcome {
  enum class Kind : uint8_t {
    applied,    ///< see `applied`, which may itself be a refusal
    read_only,  ///< was not given to any log and never will be
    refused,    ///< not given to any log: busy, no_space, too_large; `error` says why
    unknown,    ///< may happen or may have happened
  } kind = Kind::applied;
  core::Applied applied;
  Error error;
};

class WriteCompletion {
 public:
  virtual ~WriteCompletion() = default;
  virtual void on_written(uint64_t cookie, const WriteOutcome& outcome) = 0;
};

/// How a linearizable read's permission ended: ok once the machine holds every write acknowledged
/// before the question; read_only if no majority answered.
class ReadCompletion {
 public:
  virtual ~ReadCompletion() = default;
  virtual void on_readable(uint64_t cookie, const Result<void>& outcome) = 0;
};

/// Who may do what: the secrets of the server's environment. Empty: not set.
struct Secrets {
  std::string read_write;
  std::string read_only;
};

struct DoorLimits {
  size_t value_bytes_max = kValueBytesMax;
  size_t outstanding_max = kOutstandingRequestsMax;
  size_t waits_max = kWaitsPerConnectionMax;
  size_t unsent_soft = kUnsentBytesSoft;
  size_t wait_bytes_max = kWaitBytesMax;
  size_t wait_bytes_all_max = kWaitBytesAllMax;
};

/// What a door may ask of the server around it. Lives as long as every door.
class Host {
 public:
  virtual ~Host() = default;
  virtual core::Machine& machine() = 0;
  /// The bytes of a body built by core/command.h with an empty envelope's place left to the host:
  /// the door gives the decoded body, the host adds cluster version and time, encodes and proposes.
  /// Writes of one door are applied in the order of these calls.
  virtual void submit(const core::BodyView& body, WriteCompletion& completion, uint64_t cookie) = 0;
  virtual void read_index(ReadCompletion& completion, uint64_t cookie) = 0;
  /// Forgets the completion: it will not be called any more (the write itself may still happen).
  virtual void forget(WriteCompletion& completion) = 0;
  virtual void forget(ReadCompletion& completion) = 0;
  /// False: SET, DEL and NOP are answered READONLY without being submitted.
  virtual bool writable() const = 0;
  /// Why. REQUIRES !writable(), or a write that came to WriteOutcome::Kind::read_only.
  virtual Error why_read_only() const {
    return {Code::read_only, "no majority of the servers can be reached"};
  }
  virtual Identity identity() const = 0;
  virtual Identity cluster() const = 0;
  virtual const Secrets& secrets() const = 0;
  virtual const DoorLimits& limits() const = 0;
  /// JSON for STATUS.
  virtual std::string status() = 0;
  /// What the doors of this host share of the answers to one event.
  EventAnswers& event_answers() { return event_answers_; }
  /// What the waits of all its doors hold, of DoorLimits::wait_bytes_all_max. The doors count.
  size_t& wait_bytes() { return wait_bytes_; }

 private:
  EventAnswers event_answers_;
  size_t wait_bytes_ = 0;
};

class Door {
 public:
  virtual ~Door() = default;
  /// Takes bytes of the client and handles whole requests, until blocked(); `taken` tells how many
  /// of `bytes` were consumed: the caller keeps the rest and offers it again, with what came after,
  /// when blocked() is false. A frame that is not whole yet is not consumed, but for one that is
  /// over kStrangerFrameBytesMax of a client that is not trusted(): it is refused.
  /// Errors: the connection must be closed after output() was sent; the message is for the log.
  virtual Result<size_t> receive(std::string_view bytes) = 0;
  /// The whole size of the frame that begins at `bytes`, as far as its head tells: 0 if even that
  /// is not there. Used to tell a half frame from none.
  virtual size_t frame_bytes(std::string_view bytes) const = 0;
  /// The client has shown that it may write, or need not.
  virtual bool trusted() const = 0;
  /// No further request is begun: too many outstanding, or `unsent` + output() over the limit.
  virtual bool blocked() const = 0;
  /// How many bytes of this connection the operating system has not taken.
  virtual void set_unsent(size_t bytes) = 0;
  /// Goes on with listings in slices. True if work remains.
  virtual bool run(Budget& budget) = 0;
  /// Complete answers, each one whole; the caller takes the string and leaves it empty.
  virtual std::string& output() = 0;
  /// True if run() has something to go on with.
  virtual bool has_work() const = 0;
  /// The client sends no more: WAITs and reads of the future are given up, by run() in slices if
  /// they are many; the rest is answered.
  virtual void end_of_input() = 0;
  /// Goes on giving up after end_of_input(), without a thought for the rest; true when nothing is
  /// left to give up. A door that is destroyed before does it all at once.
  virtual bool give_up(Budget& budget) = 0;
  /// After end_of_input(): everything that will be answered is in output().
  virtual bool finished() const = 0;
  /// The connection must be cut after output() is sent (an unknown write of an old client).
  virtual bool must_close() const = 0;
};

/// Told by a door that has new output or new room outside of a call into it.
class DoorEvents {
 public:
  virtual ~DoorEvents() = default;
  virtual void on_output() = 0;
};

/// The Doozer protocol (semantics; docs/protocol-doozer.md). `host` and `events` outlive the door.
std::unique_ptr<Door> make_doozer_door(Host& host, DoorEvents& events);

}  // namespace doozer::door
