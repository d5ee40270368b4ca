// Loads an image that comes in pieces. Nothing in it is trusted: every field is checked before it
// reaches the tree, and the whole by the state digest. Format: docs/image-format.md.
#include <algorithm>
#include <set>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "core/image.h"
#include "core/image_format.h"
#include "core/path.h"

namespace doozer::core {

namespace {

tl::unexpected<Error> corrupt(std::string what) {
  return fail(Code::corrupt, "image: " + std::move(what));
}

class ImageReaderImpl final : public ImageReader {
 public:
  explicit ImageReaderImpl(State& state) : state_(state) {
    CHECK(state.applied == Index(0));
    CHECK(state.tree.totals().files == 0);
  }

  Result<void> add(std::string_view bytes) override;
  Result<void> finish() override;

 private:
  enum class Stage : uint8_t { preamble, head, files, tail, done };
  struct LastEvent {
    EventKind kind = EventKind::nop;
    std::string path;
  };

  Result<bool> step(std::string_view& rest);
  Result<void> read_preamble(std::string_view bytes);
  Result<void> read_head(std::string_view bytes);
  Result<void> read_clients(ByteReader& head);
  Result<void> read_members(ByteReader& head);
  Result<void> read_events(ByteReader& head);
  Result<bool> read_file(std::string_view& rest);
  Result<void> read_tail(std::string_view bytes);
  Result<void> replay_events();

  State& state_;
  Stage stage_ = Stage::preamble;
  std::string pending_;  // bytes of what is not whole yet
  size_t head_bytes_ = 0;
  uint32_t head_crc_ = 0;
  Hash128 digest_;
  Revision revision_;
  uint64_t files_ = 0;
  uint64_t read_ = 0;
  std::string last_path_;
  std::vector<LastEvent> events_;
};

Result<void> ImageReaderImpl::add(std::string_view bytes) {
  pending_.append(bytes);
  std::string_view rest = pending_;
  for (;;) {
    TRY_ASSIGN(const bool more, step(rest));
    if (!more) {
      break;
    }
  }
  pending_.erase(0, pending_.size() - rest.size());
  return {};
}

/// Takes the next part off the front of `rest`; false if it is not whole yet.
Result<bool> ImageReaderImpl::step(std::string_view& rest) {
  const auto take = [&rest](size_t size) {
    const std::string_view taken = rest.substr(0, size);
    rest.remove_prefix(size);
    return taken;
  };
  switch (stage_) {
    case Stage::preamble:
      if (rest.size() < kImagePreambleBytes) {
        return false;
      }
      TRY(read_preamble(take(kImagePreambleBytes)));
      stage_ = Stage::head;
      return true;
    case Stage::head:
      if (rest.size() < head_bytes_) {
        return false;
      }
      TRY(read_head(take(head_bytes_)));
      stage_ = files_ == 0 ? Stage::tail : Stage::files;
      return true;
    case Stage::files: {
      TRY_ASSIGN(const bool whole, read_file(rest));
      if (read_ == files_) {
        stage_ = Stage::tail;
      }
      return whole;
    }
    case Stage::tail:
      if (rest.size() < kImageTailBytes) {
        return false;
      }
      TRY(read_tail(take(kImageTailBytes)));
      stage_ = Stage::done;
      return true;
    case Stage::done:
      if (!rest.empty()) {
        return corrupt(std::to_string(rest.size()) + " bytes after the end");
      }
      return false;
  }
  UNREACHABLE();
}

Result<void> ImageReaderImpl::read_preamble(std::string_view bytes) {
  ByteReader reader(bytes);
  if (reader.bytes(kImageMagic.size()) != kImageMagic) {
    return corrupt("it does not begin as one");
  }
  const uint32_t format = reader.u32();
  if (format != kImageFormat) {
    return fail(Code::unsupported, "image: format " + std::to_string(format) + " is not " +
                                       std::to_string(kImageFormat) +
                                       ", the one that this build knows");
  }
  head_bytes_ = reader.u32();
  head_crc_ = reader.u32();
  if (head_bytes_ > kImageHeadBytesMax) {
    return corrupt("a head of " + std::to_string(head_bytes_) + " bytes");
  }
  return {};
}

Result<void> ImageReaderImpl::read_head(std::string_view bytes) {
  if (crc32c(bytes) != head_crc_) {
    return corrupt("the head's checksum is wrong");
  }
  ByteReader head(bytes);
  state_.applied = Index(head.u64());
  revision_ = Revision(static_cast<int64_t>(head.u64()));
  state_.chain = {.low = head.u64(), .high = head.u64()};
  digest_ = {.low = head.u64(), .high = head.u64()};
  state_.cluster_time_us = head.u64();
  state_.cluster_version = head.u32();
  files_ = head.u64();
  if (!head.ok() || revision_ < Revision(0) || state_.cluster_version == 0) {
    return corrupt("the head's numbers");
  }
  if (state_.cluster_version > kClusterVersion) {
    return fail(Code::unsupported, "image: cluster version " +
                                       std::to_string(state_.cluster_version) + " is newer than " +
                                       std::to_string(kClusterVersion) +
                                       ": a newer doozerd is needed");
  }
  TRY(read_clients(head));
  TRY(read_members(head));
  TRY(read_events(head));
  if (!head.done()) {
    return corrupt("the head's size");
  }
  state_.revision = revision_;
  constexpr uint64_t kReserveMax = 4'000'000;  // the number is not believed beyond this
  state_.tree.begin_load(static_cast<size_t>(std::min(files_, kReserveMax)));
  return {};
}

Result<void> ImageReaderImpl::read_clients(ByteReader& head) {
  const uint64_t clients = head.varint();
  for (uint64_t i = 0; i < clients && head.ok(); ++i) {
    const std::string_view client = head.sized();
    ClientTable::Entry entry;
    entry.sequence = head.varint();
    entry.used = Index(head.varint());
    entry.result.revision = Revision(static_cast<int64_t>(head.varint()));
    entry.result.changed = head.u8() != 0;
    if (const uint8_t refused = head.u8(); refused != 0) {
      if (refused - 1 > static_cast<int>(Code::other)) {
        return corrupt("a client's result");
      }
      entry.result.refused = Error{static_cast<Code>(refused - 1), std::string(head.sized())};
    }
    const bool good = head.ok() && !client.empty() && client.size() <= kClientIdBytesMax &&
                      entry.used <= state_.applied && state_.clients.restore(client, entry);
    if (!good) {
      return corrupt("entry " + std::to_string(i) + " of the client table");
    }
  }
  return {};
}

Result<void> ImageReaderImpl::read_members(ByteReader& head) {
  const uint64_t members = head.varint();
  if (members > kRegisterMax) {
    return corrupt(std::to_string(members) + " entries of the register");
  }
  Identity last;
  std::set<Index> registered;
  for (uint64_t i = 0; i < members; ++i) {
    const Result<Member> member = read_member(head);
    if (!member) {
      return corrupt(member.error().message);
    }
    if (member->identity <= last || member->registered > state_.applied ||
        !registered.insert(member->registered).second) {
      return corrupt("entry " + std::to_string(i) + " of the register");
    }
    state_.members.put(*member);
    last = member->identity;
  }
  return {};
}

Result<void> ImageReaderImpl::read_events(ByteReader& head) {
  const uint64_t events = head.varint();
  if (events > kTransactionOpsMax || (events == 0) != (revision_ == Revision(0))) {
    return corrupt(std::to_string(events) + " events of the newest revision");
  }
  std::set<std::string_view> paths;
  for (uint64_t i = 0; i < events; ++i) {
    const uint8_t kind = head.u8();
    if (!head.ok() || (kind != 0 && kind != 4 && kind != 8)) {
      return corrupt("an event's kind");
    }
    const std::string_view path = kind == 0 ? std::string_view() : head.sized();
    if (kind != 0 && (!is_file_path(path) || !paths.insert(path).second)) {
      return corrupt("an event's path");
    }
    events_.push_back({.kind = static_cast<EventKind>(kind), .path = std::string(path)});
  }
  return {};
}

Result<bool> ImageReaderImpl::read_file(std::string_view& rest) {
  ByteReader reader(rest);
  const std::string_view path = reader.sized();
  const uint64_t created = reader.varint();
  const uint64_t modified_after = reader.varint();
  const uint64_t count = reader.varint();
  const uint64_t lease = reader.varint();
  const std::string_view value = reader.sized();
  if (!reader.ok()) {
    if (rest.size() > kImageFileBytesMax) {
      return corrupt("file " + std::to_string(read_) + " does not end");
    }
    return false;
  }
  const auto newest = static_cast<uint64_t>(revision_.value());
  const bool numbers = created >= 1 && created <= newest && modified_after <= newest - created &&
                       count >= 1 && count >> 38U == 0 && value.size() <= kValueBytesCeiling;
  if (!numbers || path <= std::string_view(last_path_) || !is_file_path(path)) {
    return corrupt("file " + std::to_string(read_) + ", path " + quote(path));
  }
  if (is_slot_path(path) && state_.tree.slots().size() >= kSlotsMax) {
    return corrupt("more than " + std::to_string(kSlotsMax) + " slots");
  }
  const auto first = static_cast<int64_t>(created);
  state_.tree.load(path, {.modified = Revision(first + static_cast<int64_t>(modified_after)),
                          .created = Revision(first),
                          .lease = lease,
                          .count = count,
                          .value = value});
  last_path_.assign(path);
  ++read_;
  rest = reader.rest();
  return true;
}

Result<void> ImageReaderImpl::read_tail(std::string_view bytes) {
  ByteReader reader(bytes);
  if (reader.bytes(kImageEnd.size()) != kImageEnd || reader.u64() != read_) {
    return corrupt("the end is not where it should be");
  }
  return {};
}

/// Begins the history with the events of the newest revision.
Result<void> ImageReaderImpl::replay_events() {
  std::vector<Change> changes;
  for (const LastEvent& event : events_) {
    Node* node = event.kind == EventKind::nop ? nullptr : state_.tree.find(event.path);
    switch (event.kind) {
      case EventKind::nop: changes.push_back({}); break;
      case EventKind::set:
        if (node == nullptr || node->file() == nullptr || node->file()->modified != revision_) {
          return corrupt("the newest event of " + quote(event.path));
        }
        changes.push_back({.node = node, .version = node->newest()});
        break;
      case EventKind::del:
        if (node != nullptr && node->newest() != nullptr) {
          return corrupt("the newest event of " + quote(event.path));
        }
        changes.push_back(state_.tree.load_deleted(event.path, revision_));
        break;
    }
  }
  if (revision_ > Revision(0)) {
    state_.history.begin_at(revision_);
    state_.history.add(revision_, changes);
  }
  return {};
}

Result<void> ImageReaderImpl::finish() {
  if (stage_ != Stage::done) {
    return corrupt("cut short after " + std::to_string(read_) + " of " + std::to_string(files_) +
                   " files");
  }
  if (!(state_digest(state_) == digest_)) {
    return corrupt("the digest of what was read is not that of the head");
  }
  TRY(replay_events());
  state_.tree.end_load();
  return {};
}

}  // namespace

std::unique_ptr<ImageReader> make_image_reader(State& state) {
  return std::make_unique<ImageReaderImpl>(state);
}

}  // namespace doozer::core
