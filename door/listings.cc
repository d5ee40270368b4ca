#include "door/listings.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace doozer::door {
namespace {

/// A cursor this near before the offset asked is taken along; else a new one begins, so that two
/// listings of the same thing do not drag one cursor to and fro.
constexpr uint64_t kReach = 64;

/// Whether a cursor that expects `next` should serve `offset`: a little ahead, or the last again.
bool serves(uint64_t next, uint64_t offset) { return offset + 1 >= next && offset < next + kReach; }

}  // namespace

Listings::Listing* Listings::find(bool walk, std::string_view what, std::optional<Revision> at,
                                  uint64_t offset) {
  Listing* best = nullptr;
  for (Listing& listing : listings_) {
    if ((listing.glob != nullptr) != walk || listing.at != at || listing.what() != what) continue;
    if (listing.next == offset) return &listing;
    if (serves(listing.next, offset) && best == nullptr) best = &listing;
  }
  return best;
}

Listings::Listing& Listings::add(Listing listing) {
  if (listings_.size() < kListCursorsPerConnection) {
    return listings_.emplace_back(std::move(listing));
  }
  auto oldest = std::min_element(
      listings_.begin(), listings_.end(),
      [](const Listing& left, const Listing& right) { return left.used < right.used; });
  *oldest = std::move(listing);
  return *oldest;
}

core::Seek Listings::walk(const core::Machine& machine,
                          const std::shared_ptr<const core::Glob>& glob, std::optional<Revision> at,
                          uint64_t offset, Budget& budget, core::FileView& file) {
  Listing* listing = find(true, glob->pattern(), at, offset);
  if (listing == nullptr) {
    Listing fresh;
    fresh.glob = glob;
    fresh.at = at;
    fresh.walk = machine.walk(glob, at);
    listing = &add(std::move(fresh));
  }
  listing->used = ++uses_;
  const core::Seek seek = listing->walk->seek(offset, budget, file);
  listing->next = seek == core::Seek::found ? offset + 1 : offset;
  return seek;
}

core::Seek Listings::list(const core::Machine& machine, std::string_view directory,
                          std::optional<Revision> at, uint64_t offset, Budget& budget,
                          std::string_view& name) {
  Listing* listing = find(false, directory, at, offset);
  if (listing == nullptr) {
    Listing fresh;
    fresh.directory = directory;
    fresh.at = at;
    fresh.list = machine.list(directory, at);
    listing = &add(std::move(fresh));
  }
  listing->used = ++uses_;
  const core::Seek seek = listing->list->seek(offset, budget, name);
  listing->next = seek == core::Seek::found ? offset + 1 : offset;
  return seek;
}

bool Listings::knows_directory(std::string_view directory, Revision at) const {
  return std::any_of(listings_.begin(), listings_.end(), [&](const Listing& listing) {
    return !listing.glob && listing.at == at && listing.directory == directory;
  });
}

std::shared_ptr<const core::Glob> Listings::glob(std::string_view pattern) const {
  for (const Listing& listing : listings_) {
    if (listing.glob && listing.glob->pattern() == pattern) return listing.glob;
  }
  return nullptr;
}

}  // namespace doozer::door
