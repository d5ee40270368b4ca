// Commands: what a log entry of kind `command` holds. Format version 1, little-endian
// (base/bytes.h):
//
//   u8 format (1) | varint cluster_version | sized client | varint sequence | sized principal |
//   varint cluster_time_us | u8 kind | body
//   set:  varint zigzag(revision) | sized path | rest: value        (last, so that it needs no
//   length) del:  varint zigzag(revision) | sized path nop:  nothing transaction: varint guards,
//   each { u8 compare | sized path | varint zigzag(revision) }
//                varint operations, each { u8 set=1, del=2 | sized path | set: sized value }
//
// Applying needs nothing but the state and these bytes. Decoded views borrow from the bytes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "base/types.h"

namespace doozer::core {

constexpr uint32_t kClusterVersion = 1;  ///< the newest that this build knows

struct Envelope {
  uint32_t cluster_version = kClusterVersion;
  std::string_view client;  ///< at most kClientIdBytesMax; empty: no exactly-once
  uint64_t sequence = 0;
  std::string_view principal;
  uint64_t cluster_time_us = 0;  ///< proposed; the state takes max(previous, proposed)
};

/// Passes if `revision` >= the file's, or is -1 (clobber); a missing file counts as 0.
struct SetView {
  std::string_view path;
  int64_t revision = 0;
  std::string_view value;
};
struct DelView {
  std::string_view path;
  int64_t revision = 0;
};
struct NopView {};

enum class Compare : uint8_t {
  at_most = 1,  ///< the file's revision (0 if missing) <= revision
  equal = 2,    ///< == revision
  exists = 3,   ///< there is a file
  missing = 4,  ///< there is none
};
struct GuardView {
  Compare compare = Compare::at_most;
  std::string_view path;
  int64_t revision = 0;
};
struct OperationView {
  bool set = true;  ///< else del; a del of a missing file does nothing
  std::string_view path;
  std::string_view value;
};
/// All guards are judged against the state before; then all operations or none happen, at one
/// revision, in order, each event with its `sub` from 0. Doozer's directory rules hold for each
/// operation as if those before it had happened. No path twice among the operations.
struct TransactionView {
  std::vector<GuardView> guards;
  std::vector<OperationView> operations;
};

using BodyView = std::variant<SetView, DelView, NopView, TransactionView>;
struct CommandView {
  Envelope envelope;
  BodyView body;
};

/// Appends to `out`. REQUIRES limits of base/limits.h to hold (the doors check them).
void encode_command(const CommandView& command, std::string& out);
/// Errors: unsupported (newer format, cluster version or kind), corrupt (anything else).
Result<CommandView> decode_command(std::string_view bytes);

}  // namespace doozer::core
