#include "cmd/doozer_inspect_alone.h"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "core/command.h"
#include "core/glob.h"
#include "core/membership.h"

namespace doozer::inspect {
namespace {

Result<void> apply(core::Machine& machine, const core::BodyView& body) {
  core::Envelope envelope;
  envelope.principal = core::kSystemPrincipal;
  std::string command;
  core::encode_command({.envelope = envelope, .body = body}, command);
  TRY_ASSIGN(const core::Applied applied, machine.apply(machine.applied() + 1, command));
  if (applied.refused) return fail(*applied.refused);
  Budget budget(kSliceSteps);
  machine.run(budget);
  return {};
}

/// One NOP is one revision: the plainest raise that the state machine knows.
Result<void> raise_revision(core::Machine& machine) {
  const Revision wanted = machine.revision() + kRevisionRaise;
  while (machine.revision() < wanted) TRY(apply(machine, core::NopView{}));
  return {};
}

/// The cluster fills no slot of its own with who is not in its register: the server is, once it has
/// started.
Result<void> take_slots(core::Machine& machine, const std::optional<Identity>& before,
                        const Identity& now) {
  struct Slot {
    std::string path;
    std::string holder;
  };
  std::vector<Slot> slots;
  size_t ours = 0;
  for (const core::SlotView& slot : machine.slots()) {
    if (before && slot.value == before->to_string()) ours = slots.size();
    slots.push_back({std::string(slot.path), std::string(slot.value)});
  }
  for (size_t i = 0; i < slots.size(); ++i) {
    const std::string holder = i == ours ? now.to_string() : std::string();
    if (holder == slots[i].holder) continue;
    TRY(apply(machine, core::SetView{.path = slots[i].path, .revision = -1, .value = holder}));
  }
  return {};
}

std::vector<std::string> paths_matching(const core::Machine& machine, const std::string& pattern) {
  std::vector<std::string> paths;
  auto glob = core::Glob::compile(pattern);
  if (!glob) return paths;  // a cluster's name that no path could have
  const auto cursor =
      machine.walk(std::make_shared<const core::Glob>(std::move(*glob)), std::nullopt);
  for (;;) {
    Budget budget(kSliceSteps);
    core::FileView file;
    switch (cursor->seek(paths.size(), budget, file)) {
      case core::Seek::found: paths.emplace_back(file.path); break;
      case core::Seek::more: break;
      case core::Seek::end:
      case core::Seek::too_late: return paths;
    }
  }
}

/// Clients that look for servers there must not find the dead. /ctl/ns of other names are of
/// clusters for which this one is the name service.
Result<void> forget_servers(core::Machine& machine) {
  std::vector<std::string> paths = paths_matching(machine, "/ctl/node/**");
  const core::Found name = machine.find("/ctl/name", std::nullopt);
  if (name.kind == core::Found::Kind::file) {
    const std::string own = "/ctl/ns/" + std::string(name.file.value) + "/";
    for (std::string& path : paths_matching(machine, "/ctl/ns/**")) {
      if (path.starts_with(own)) paths.push_back(std::move(path));
    }
  }
  for (const std::string& path : paths) {
    TRY(apply(machine, core::DelView{.path = path, .revision = -1}));
  }
  return {};
}

}  // namespace

Result<void> make_alone(core::Machine& machine, const std::optional<Identity>& before,
                        const Identity& now) {
  TRY(raise_revision(machine));
  TRY(take_slots(machine, before, now));
  return forget_servers(machine);
}

}  // namespace doozer::inspect
