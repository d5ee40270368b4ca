// For tests: a host around a real machine that decides by hand when writes are applied, and a
// client of one door that speaks in a few words.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "core/machine.h"
#include "door/door.h"
#include "wire/doozer.h"

namespace doozer::door {

class TestHost final : public Host {
 public:
  explicit TestHost(const core::MachineOptions& options = {})
      : machine_(core::Machine::make(options)) {}

  core::Machine& machine() override { return *machine_; }
  void submit(const core::BodyView& body, WriteCompletion& completion, uint64_t cookie) override {
    Write write;
    core::CommandView command;
    command.body = body;
    core::encode_command(command, write.command);
    write.completion = &completion;
    write.cookie = cookie;
    writes_.push_back(std::move(write));
  }
  void read_index(ReadCompletion& completion, uint64_t cookie) override {
    reads_.emplace_back(&completion, cookie);
  }
  void forget(WriteCompletion& completion) override {
    for (Write& write : writes_) {
      if (write.completion == &completion) write.completion = nullptr;
    }
  }
  void forget(ReadCompletion& completion) override {
    std::erase_if(reads_, [&](const auto& read) { return read.first == &completion; });
  }
  bool writable() const override { return is_writable; }
  Error why_read_only() const override {
    return is_stopping ? Error{Code::read_only, "the server is stopping"} : Host::why_read_only();
  }
  Identity identity() const override { return Identity::from_bytes("0123456789"); }
  Identity cluster() const override { return Identity::from_bytes("abcdefghij"); }
  const Secrets& secrets() const override { return test_secrets; }
  const DoorLimits& limits() const override { return test_limits; }
  std::string status() override { return R"({"role":"leader"})"; }

  /// Applies the oldest write and answers it.
  void apply_one() {
    Write write = std::move(writes_.front());
    writes_.pop_front();
    WriteOutcome outcome;
    outcome.applied = apply(write.command);
    if (write.completion != nullptr) write.completion->on_written(write.cookie, outcome);
  }
  core::Applied apply(std::string_view command) {
    return machine_->apply(machine_->applied() + 1, command).value();
  }
  core::Applied apply(const core::BodyView& body) {
    core::CommandView command;
    command.body = body;
    std::string bytes;
    core::encode_command(command, bytes);
    return apply(bytes);
  }
  /// Ends the oldest write without applying it.
  void end_one(WriteOutcome::Kind kind, const Error& error = {}) {
    const Write write = std::move(writes_.front());
    writes_.pop_front();
    WriteOutcome outcome;
    outcome.kind = kind;
    outcome.error = error;
    if (write.completion != nullptr) write.completion->on_written(write.cookie, outcome);
  }
  void answer_reads(const Result<void>& outcome = {}) {
    const auto reads = std::exchange(reads_, {});
    for (const auto& [completion, cookie] : reads) completion->on_readable(cookie, outcome);
  }
  /// Applies all writes and lets the machine tell its watches.
  void settle() {
    while (!writes_.empty()) apply_one();
    run_machine();
  }
  void run_machine() {
    for (int turn = 0; turn < kTurnsMax; ++turn) {
      Budget budget(kSliceSteps);
      if (!machine_->run(budget)) return;
    }
    CHECK(false);
  }
  int64_t set(std::string_view path, std::string_view value) {
    return apply(core::SetView{path, -1, value}).revision.value();
  }
  size_t writes() const { return writes_.size(); }
  size_t reads() const { return reads_.size(); }

  bool is_writable = true;
  bool is_stopping = false;
  Secrets test_secrets;
  DoorLimits test_limits;

 private:
  static constexpr int kTurnsMax = 100'000;
  struct Write {
    std::string command;
    WriteCompletion* completion = nullptr;
    uint64_t cookie = 0;
  };
  std::unique_ptr<core::Machine> machine_;
  std::deque<Write> writes_;
  std::vector<std::pair<ReadCompletion*, uint64_t>> reads_;
};

/// A request in words: ask("GET").path("/a").rev(3).
class Ask {
 public:
  explicit Ask(wire::Verb verb) { view_.verb = static_cast<int32_t>(verb); }
  explicit Ask(int32_t verb) { view_.verb = verb; }
  Ask& path(std::string path) { return path_ = std::move(path), has_path_ = true, *this; }
  Ask& value(std::string value) { return value_ = std::move(value), has_value_ = true, *this; }
  Ask& rev(int64_t rev) { return view_.rev = rev, *this; }
  Ask& offset(int32_t offset) { return view_.offset = offset, *this; }
  Ask& mode(int32_t mode) { return view_.mode = mode, *this; }
  Ask& min_rev(int64_t rev) { return view_.min_rev = rev, *this; }
  Ask& tag(int32_t tag) { return view_.tag = tag, *this; }
  Ask& no_tag() { return tagged_ = false, *this; }
  bool tagged() const { return tagged_ && !view_.tag.has_value(); }
  std::string frame() const {
    wire::RequestView view = view_;
    if (has_path_) view.path = path_;
    if (has_value_) view.value = value_;
    std::string out;
    wire::append_request(view, out);
    return out;
  }

 private:
  wire::RequestView view_;
  std::string path_;
  std::string value_;
  bool has_path_ = false;
  bool has_value_ = false;
  bool tagged_ = true;
};

/// One answer, its fields in words in their order: "rev=3 value=\"x\"" or "error=ISDIR".
struct Answer {
  int32_t tag = 0;
  bool tagged = false;
  wire::ResponseView view;
  std::string bytes;  ///< what the view borrows from

  std::string text() const {
    std::string out;
    const auto number = [&](std::string_view name, const auto& value) {
      if (value) out += (out.empty() ? "" : " ") + std::string(name) + std::to_string(*value);
    };
    const auto bytes_of = [&](std::string_view name, const auto& value) {
      if (value) out += (out.empty() ? "" : " ") + std::string(name) + quote(*value);
    };
    number("flags=", view.flags);
    number("rev=", view.rev);
    bytes_of("path=", view.path);
    bytes_of("value=", view.value);
    number("len=", view.len);
    number("store_rev=", view.store_rev);
    number("outcome=", view.outcome);
    bytes_of("cluster=", view.cluster);
    if (view.err_code) {
      out += (out.empty() ? "" : " ") + std::string("error=") +
             std::string(wire::err_code_name(*view.err_code));
    }
    return out.empty() ? "ok" : out;
  }
  std::string detail() const { return std::string(view.err_detail.value_or("")); }
};

/// A connection: the door, the bytes it has not taken, and what it answered by tag.
class TestClient final : public DoorEvents {
 public:
  explicit TestClient(TestHost& host) : host_(host), door_(make_doozer_door(host, *this)) {}

  /// Sends and gives the tag; settles nothing.
  int32_t send(Ask ask) {
    const int32_t tag = ask.tagged() ? next_tag_++ : 0;
    if (ask.tagged()) ask.tag(tag);
    receive(ask.frame());
    return tag;
  }
  /// Offers bytes as the server does: what is left over is offered again when there is room.
  void receive(std::string_view bytes) {
    in_ += bytes;
    feed();
  }
  void feed() {
    if (failed_ || in_.empty() || door_->blocked()) return;
    const Result<size_t> taken = door_->receive(in_);
    if (!taken) {
      failed_ = taken.error();
      return;
    }
    in_.erase(0, *taken);
  }
  /// Slices until the door has no work and takes no more bytes, taking its output.
  void run() {
    for (int turn = 0; turn < kTurnsMax; ++turn) {
      take();
      const size_t before = in_.size();
      feed();
      if (door_->has_work()) {
        Budget budget(kSliceSteps);
        door_->run(budget);
      } else if (in_.size() == before) {
        break;
      }
    }
    take();
  }
  /// Takes the answers that are there.
  void take() {
    std::string bytes = std::exchange(door_->output(), {});
    while (!bytes.empty()) {
      const size_t size = wire::frame_bytes(bytes, SIZE_MAX).value();
      CHECK(size != 0);
      CHECK(size <= bytes.size());
      Answer answer;
      answer.bytes = bytes.substr(wire::kHeadBytes, size - wire::kHeadBytes);
      bytes.erase(0, size);
      answers_.push_back(std::move(answer));
      Answer& kept = answers_.back();
      kept.view = wire::decode_response(kept.bytes).value();
      kept.tagged = kept.view.tag.has_value();
      kept.tag = kept.view.tag.value_or(0);
      kept.view.tag.reset();
    }
  }
  /// Sends, settles all, and gives the answer in words; "" if none came.
  std::string ask(Ask ask) {
    const int32_t tag = send(std::move(ask));
    host_.settle();
    run();
    return text(tag);
  }
  /// The detail of the error that answers.
  std::string detail(Ask ask) {
    const int32_t tag = send(std::move(ask));
    host_.settle();
    run();
    const Answer* answer = find(tag);
    return answer == nullptr ? "" : answer->detail();
  }
  const Answer* find(int32_t tag) {
    take();
    for (const Answer& answer : answers_) {
      if (answer.tag == tag) return &answer;
    }
    return nullptr;
  }
  std::string text(int32_t tag) {
    const Answer* answer = find(tag);
    return answer == nullptr ? "" : answer->text();
  }
  /// All answers so far, in order, and forgets them.
  std::vector<std::string> all() {
    take();
    std::vector<std::string> texts;
    for (const Answer& answer : answers_) texts.push_back(answer.text());
    answers_.clear();
    return texts;
  }
  size_t count() {
    take();
    return answers_.size();
  }
  const std::deque<Answer>& answers() const { return answers_; }
  Door& door() { return *door_; }
  void close() { door_.reset(); }
  const std::optional<Error>& failed() const { return failed_; }
  size_t pending_bytes() const { return in_.size(); }
  int told() const { return told_; }
  void on_output() override { ++told_; }

 private:
  static constexpr int kTurnsMax = 100'000;
  TestHost& host_;
  std::unique_ptr<Door> door_;
  std::string in_;
  std::deque<Answer> answers_;
  std::optional<Error> failed_;
  int32_t next_tag_ = 1;
  int told_ = 0;
};

inline Ask get(std::string path) { return Ask(wire::Verb::get).path(std::move(path)); }
inline Ask stat(std::string path) { return Ask(wire::Verb::stat).path(std::move(path)); }
inline Ask set(std::string path, int64_t rev, std::string value) {
  return Ask(wire::Verb::set).path(std::move(path)).rev(rev).value(std::move(value));
}
inline Ask del(std::string path, int64_t rev) {
  return Ask(wire::Verb::del).path(std::move(path)).rev(rev);
}
inline Ask nop() { return Ask(wire::Verb::nop); }
inline Ask rev() { return Ask(wire::Verb::rev); }
inline Ask self() { return Ask(wire::Verb::self); }
inline Ask getdir(std::string path, int32_t offset) {
  return Ask(wire::Verb::getdir).path(std::move(path)).offset(offset);
}
inline Ask walk(std::string glob, int32_t offset) {
  return Ask(wire::Verb::walk).path(std::move(glob)).offset(offset);
}
inline Ask wait(std::string glob, int64_t rev) {
  return Ask(wire::Verb::wait).path(std::move(glob)).rev(rev);
}
inline Ask access(std::string secret) { return Ask(wire::Verb::access).value(std::move(secret)); }

}  // namespace doozer::door
