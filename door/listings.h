// The listings that a connection has under way. GETDIR and WALK are asked offset by offset; a
// cursor that remembers where the last answer was makes the whole listing cost O(n), also when
// several listings, of the same thing too, are interleaved.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/budget.h"
#include "base/limits.h"
#include "core/machine.h"

namespace doozer::door {

class Listings {
 public:
  /// As WalkCursor::seek: the `offset`-th file that matches, of the newest state or that at `at`.
  core::Seek walk(const core::Machine& machine, const std::shared_ptr<const core::Glob>& glob,
                  std::optional<Revision> at, uint64_t offset, Budget& budget,
                  core::FileView& file);
  /// As ListCursor::seek. REQUIRES that the directory exists at `at`.
  core::Seek list(const core::Machine& machine, std::string_view directory,
                  std::optional<Revision> at, uint64_t offset, Budget& budget,
                  std::string_view& name);
  /// The directory at the fixed revision `at` is being listed, so it was there.
  bool knows_directory(std::string_view directory, Revision at) const;
  /// The compiled glob of a listing under way; null if there is none.
  std::shared_ptr<const core::Glob> glob(std::string_view pattern) const;

 private:
  struct Listing {
    std::shared_ptr<const core::Glob> glob;  ///< null: a directory
    std::string directory;
    std::optional<Revision> at;
    uint64_t next = 0;  ///< the offset that the cursor expects to be asked
    uint64_t used = 0;  ///< for the choice of which to forget
    std::unique_ptr<core::WalkCursor> walk;
    std::unique_ptr<core::ListCursor> list;

    std::string_view what() const { return glob ? std::string_view(glob->pattern()) : directory; }
  };
  /// The listing that stands nearest before `offset`; null if none does.
  Listing* find(bool walk, std::string_view what, std::optional<Revision> at, uint64_t offset);
  Listing& add(Listing listing);

  std::vector<Listing> listings_;  ///< at most kListCursorsPerConnection
  uint64_t uses_ = 0;
};

}  // namespace doozer::door
