// Helpers of the tests of this room: a machine with its next index, and commands in one line.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "core/machine.h"

namespace doozer::core {

inline std::string encode(const BodyView& body, const Envelope& envelope = {}) {
  std::string bytes;
  encode_command({.envelope = envelope, .body = body}, bytes);
  return bytes;
}

inline std::shared_ptr<const Glob> glob(std::string_view pattern) {
  Result<Glob> compiled = Glob::compile(pattern);
  CHECK(compiled.has_value());
  return std::make_shared<const Glob>(std::move(*compiled));
}

inline Envelope of_client(std::string_view client, uint64_t sequence) {
  Envelope envelope;
  envelope.client = client;
  envelope.sequence = sequence;
  return envelope;
}
inline Envelope at_time(uint64_t cluster_time_us) {
  Envelope envelope;
  envelope.cluster_time_us = cluster_time_us;
  return envelope;
}
/// As the server itself writes.
inline Envelope as_system() {
  Envelope envelope;
  envelope.principal = "system";
  return envelope;
}

/// A machine and the log position after it.
struct Driver {
  explicit Driver(const MachineOptions& options = {}) : machine(Machine::make(options)) {}
  Applied apply(const BodyView& body, const Envelope& envelope = {}) {
    Result<Applied> applied = machine->apply(machine->applied() + 1, encode(body, envelope));
    CHECK(applied.has_value());
    return *applied;
  }
  Applied set(std::string_view path, int64_t revision, std::string_view value) {
    return apply(SetView{.path = path, .revision = revision, .value = value});
  }
  Applied del(std::string_view path, int64_t revision) {
    return apply(DelView{.path = path, .revision = revision});
  }
  Applied nop() { return apply(NopView{}); }
  /// As the server itself.
  Applied system_set(std::string_view path, std::string_view value) {
    return apply(SetView{.path = path, .revision = -1, .value = value}, as_system());
  }
  void run() {
    constexpr int kRoundsMax = 100'000;  // those told may wait again
    for (int round = 0; round < kRoundsMax; ++round) {
      Budget budget(kSliceSteps);
      if (!machine->run(budget)) {
        return;
      }
    }
    UNREACHABLE();
  }
  /// "file VALUE @REVISION", "directory ENTRIES" or "missing".
  std::string look(std::string_view path, std::optional<int64_t> at = {}) const {
    std::optional<Revision> when;
    if (at) {
      when = Revision(*at);
    }
    const Found found = machine->find(path, when);
    switch (found.kind) {
      case Found::Kind::missing: return "missing";
      case Found::Kind::file:
        return "file " + std::string(found.file.value) + " @" +
               std::to_string(found.file.revision.value());
      case Found::Kind::directory: return "directory " + std::to_string(found.entries);
    }
    UNREACHABLE();
  }
  std::vector<std::string> list(std::string_view directory, std::optional<int64_t> at = {}) const {
    const auto cursor = machine->list(directory, when(at));
    std::vector<std::string> names;
    for (;;) {
      Budget budget(3);
      std::string_view name;
      const Seek seek = cursor->seek(names.size(), budget, name);
      if (seek == Seek::end) {
        return names;
      }
      CHECK(seek != Seek::too_late);
      if (seek == Seek::found) {
        names.emplace_back(name);
      }
    }
  }
  /// "PATH=VALUE" each.
  std::vector<std::string> walk(std::string_view pattern, std::optional<int64_t> at = {}) const {
    const auto cursor = machine->walk(glob(pattern), when(at));
    std::vector<std::string> files;
    for (;;) {
      Budget budget(3);
      FileView file;
      const Seek seek = cursor->seek(files.size(), budget, file);
      if (seek == Seek::end) {
        return files;
      }
      CHECK(seek != Seek::too_late);
      if (seek == Seek::found) {
        files.push_back(std::string(file.path) + "=" + std::string(file.value));
      }
    }
  }
  static std::optional<Revision> when(std::optional<int64_t> at) {
    return at ? std::optional<Revision>(Revision(*at)) : std::nullopt;
  }

  std::unique_ptr<Machine> machine;
};

inline std::string write_image(Machine& machine, size_t piece = 1000) {
  const auto writer = machine.write_image();
  std::string image;
  for (;;) {
    Budget budget(kSliceSteps);
    const Result<ImageWriter::Step> step = writer->next(piece, budget, image);
    CHECK(step.has_value());
    if (*step == ImageWriter::Step::done) {
      return image;
    }
  }
}

inline Result<void> load_image(Machine& machine, std::string_view image, size_t piece) {
  const auto reader = machine.read_image();
  for (size_t at = 0; at < image.size(); at += piece) {
    TRY(reader->add(image.substr(at, piece)));
  }
  return reader->finish();
}

}  // namespace doozer::core
