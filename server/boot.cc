#include "server/boot.h"

#include <algorithm>
#include <utility>

#include "base/bytes.h"
#include "server/config_address.h"

namespace doozer::server {

Result<FirstStart> first_start(const BootInputs& inputs) {
  if (!inputs.boot_uri.empty()) return FirstStart::ask;
  if (!inputs.attach.empty()) return FirstStart::attach;
  if (inputs.boot || is_loopback_address(inputs.listen)) return FirstStart::boot;
  return fail(Code::bad_argument,
              "--listen " + quote(inputs.listen) +
                  ": the data directory is empty and the address is not loopback. If this is to "
                  "be a new cluster, give --boot; if there should be data, check that the volume "
                  "is mounted");
}

namespace {

constexpr std::string_view kCandidateFile = "candidate";
constexpr uint64_t kCandidateBytesMax = 64;

}  // namespace

Result<Identity> candidate_identity(env::Disk& disk, const Identity& fresh) {
  TRY_ASSIGN(const bool stood_before, disk.exists(kCandidateFile));
  if (stood_before) {
    TRY_ASSIGN(const std::string text, env::read_file(disk, kCandidateFile, kCandidateBytesMax));
    auto identity = Identity::parse(text);
    if (identity) return identity;
    return fail(Code::corrupt, "file \"" + std::string(kCandidateFile) + "\": no identity in " +
                                   quote(text) + "; remove it if this server holds no cluster");
  }
  TRY(env::replace_file(disk, "", kCandidateFile, fresh.to_string()));
  return fresh;
}

Result<void> forget_candidate(env::Disk& disk) {
  TRY_ASSIGN(const bool there, disk.exists(kCandidateFile));
  return there ? disk.remove(kCandidateFile) : Result<void>();
}

namespace {

bool has_file(const core::Machine& machine, std::string_view path) {
  return machine.find(path, std::nullopt).kind == core::Found::Kind::file;
}

// A cluster always has a filled slot (core refuses to empty the last), unless its first boot was
// cut short.
bool has_filled_slot(const core::Machine& machine) {
  const std::vector<core::SlotView> slots = machine.slots();
  return std::ranges::any_of(slots, [](const core::SlotView& slot) { return !slot.value.empty(); });
}

}  // namespace

std::vector<BootWrite> boot_writes(const NodeFacts& facts, const core::Machine& machine) {
  const std::string self = facts.identity.to_string();
  const std::string node = "/ctl/node/" + self;
  const std::string last = node + "/writable";
  const bool filled = has_filled_slot(machine);
  const bool fresh = facts.founder && (!filled || !has_file(machine, last));
  std::vector<BootWrite> wanted;
  if (fresh && !has_file(machine, "/ctl/name")) {
    wanted.push_back({"/ctl/name", facts.cluster_name});
  }
  wanted.push_back({node + "/addr", facts.address});
  wanted.push_back({node + "/hostname", facts.hostname});
  wanted.push_back({node + "/version", facts.version});
  if (fresh) {
    if (!filled) wanted.push_back({"/ctl/cal/0", self});
    for (uint64_t slot = 1; slot < facts.slots; ++slot) {
      const std::string path = "/ctl/cal/" + std::to_string(slot);
      if (!has_file(machine, path)) wanted.push_back({path, ""});
    }
  }
  const core::Found name = machine.find("/ctl/name", std::nullopt);
  const bool named = name.kind == core::Found::Kind::file;
  if (named || fresh) {
    const std::string cluster_name = named ? std::string(name.file.value) : facts.cluster_name;
    wanted.push_back({"/ctl/ns/" + cluster_name + "/" + self, facts.address});
  }
  wanted.push_back({last, "true"});
  std::vector<BootWrite> writes;
  for (BootWrite& write : wanted) {
    const core::Found found = machine.find(write.path, std::nullopt);
    const bool same =
        found.kind == core::Found::Kind::file && found.file.value == std::string_view(write.value);
    if (!same) writes.push_back(std::move(write));
  }
  return writes;
}

}  // namespace doozer::server
