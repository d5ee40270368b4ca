// Writes the image: head and tables at the pin, then the files in slices. Format:
// docs/image-format.md.
#include <algorithm>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "core/image.h"
#include "core/image_format.h"

namespace doozer::core {

namespace {

class ImageWriterImpl final : public ImageWriter {
 public:
  explicit ImageWriterImpl(State& state)
      : state_(state),
        pin_(state.history.pin()),
        digests_({.index = state.applied,
                  .revision = state.revision,
                  .chain = state.chain,
                  .state = state_digest(state)}),
        cluster_version_(state.cluster_version),
        files_(state.tree.totals().files) {
    write_head();
  }

  Result<Step> next(size_t bytes, Budget& budget, std::string& out) override;
  int pressure() const override {
    return static_cast<int>(
        std::min(state_.history.held_bytes() * 100 / kPinnedBytesMax, size_t{100}));
  }
  const Digests& digests() const override { return digests_; }
  uint32_t cluster_version() const override { return cluster_version_; }

 private:
  void write_head();
  void write_clients(ByteWriter& head) const;
  void write_members(ByteWriter& head) const;
  void write_events(ByteWriter& head) const;
  void write_file(const Node& node, const Version& version, std::string& out);

  State& state_;
  const std::shared_ptr<Pin> pin_;
  const Digests digests_;
  const uint32_t cluster_version_;
  const uint64_t files_;
  std::string head_;  // what is left of it
  size_t head_sent_ = 0;
  std::string key_ = "/";  // files before it are written
  Ordered::Place place_;
  uint64_t shape_ = UINT64_MAX;
  uint64_t written_ = 0;
  bool done_ = false;
};

void ImageWriterImpl::write_head() {
  std::string body;
  ByteWriter head(body);
  head.u64(digests_.index.value());
  head.u64(static_cast<uint64_t>(digests_.revision.value()));
  head.u64(digests_.chain.low);
  head.u64(digests_.chain.high);
  head.u64(digests_.state.low);
  head.u64(digests_.state.high);
  head.u64(state_.cluster_time_us);
  head.u32(cluster_version_);
  head.u64(files_);
  write_clients(head);
  write_members(head);
  write_events(head);

  ByteWriter out(head_);
  out.bytes(kImageMagic);
  out.u32(kImageFormat);
  out.u32(static_cast<uint32_t>(body.size()));
  out.u32(crc32c(body));
  out.bytes(body);
}

void ImageWriterImpl::write_clients(ByteWriter& head) const {
  head.varint(state_.clients.size());
  for (const auto& [client, entry] : state_.clients.entries()) {
    head.sized(client);
    head.varint(entry.sequence);
    head.varint(entry.used.value());
    head.varint(static_cast<uint64_t>(entry.result.revision.value()));
    head.u8(entry.result.changed ? 1 : 0);
    if (!entry.result.refused) {
      head.u8(0);
      continue;
    }
    head.u8(static_cast<uint8_t>(static_cast<uint8_t>(entry.result.refused->code) + 1));
    head.sized(entry.result.refused->message);
  }
}

void ImageWriterImpl::write_members(ByteWriter& head) const {
  head.varint(state_.members.size());
  for (const auto& [identity, member] : state_.members.entries()) {
    write_member(member, head);
  }
}

/// The events of the newest revision, so that whoever loads the image can tell them.
void ImageWriterImpl::write_events(ByteWriter& head) const {
  const History& history = state_.history;
  const uint64_t first = history.find({.revision = state_.revision, .sub = 0});
  head.varint(history.end() - first);
  for (uint64_t number = first; number < history.end(); ++number) {
    const EventView event = history.view(number);
    head.u8(static_cast<uint8_t>(event.kind));
    if (event.kind != EventKind::nop) {
      head.sized(event.path);
    }
  }
}

void ImageWriterImpl::write_file(const Node& node, const Version& version, std::string& out) {
  ByteWriter writer(out);
  writer.sized(node.key());
  writer.varint(static_cast<uint64_t>(version.created.value()));
  writer.varint(static_cast<uint64_t>(version.modified - version.created));
  writer.varint(version.count);
  writer.varint(version.lease);
  writer.sized(version.value());
  ++written_;
}

Result<ImageWriter::Step> ImageWriterImpl::next(size_t bytes, Budget& budget, std::string& out) {
  CHECK(!done_);
  if (pin_->lost) {
    return fail(Code::busy, "the image at revision " + std::to_string(digests_.revision.value()) +
                                " held back more than " + std::to_string(kPinnedBytesMax) +
                                " bytes of history");
  }
  const size_t enough = out.size() + bytes;
  if (head_sent_ < head_.size()) {
    const std::string_view part = std::string_view(head_).substr(head_sent_, bytes);
    out.append(part);
    head_sent_ += part.size();
    budget.spend(1 + static_cast<int64_t>(part.size() / kImageBytesPerStep));
  }
  const Ordered& files = state_.tree.files();
  Ordered::Place place = shape_ == state_.tree.shape() ? place_ : files.lower_bound(key_);
  const Node* last = nullptr;
  while (!place.end() && out.size() < enough && !budget.empty()) {
    const Node& node = *Ordered::get(place);
    const Version* version = state_.tree.version_at(node, digests_.revision);
    budget.spend();
    if (version != nullptr) {
      write_file(node, *version, out);
      budget.spend(static_cast<int64_t>(version->size / kImageBytesPerStep));
    }
    last = &node;
    Ordered::next(place);
  }
  if (last != nullptr) {
    key_.assign(last->key());
    key_.push_back('\0');  // just behind it
    pin_->passed = key_;
  }
  place_ = place;
  shape_ = state_.tree.shape();
  if (!place.end() || out.size() >= enough || head_sent_ < head_.size()) {
    return Step::more;
  }
  CHECK(written_ == files_);
  ByteWriter writer(out);
  writer.bytes(kImageEnd);
  writer.u64(written_);
  done_ = true;
  return Step::done;
}

}  // namespace

std::unique_ptr<ImageWriter> make_image_writer(State& state) {
  return std::make_unique<ImageWriterImpl>(state);
}

}  // namespace doozer::core
