// Commands: what a log entry of kind `command` holds. Format version 1, little-endian
// (base/bytes.h):
//
//   u8 format (1) | varint cluster_version | sized client | varint sequence | sized principal |
//   varint cluster_time_us | u8 kind | body
//   1 set:            varint zigzag(revision) | sized path | rest: value
//   2 del:            varint zigzag(revision) | sized path
//   3 nop:            nothing
//   4 transaction:    varint guards, each { u8 compare | sized path | varint zigzag(revision) }
//                     varint operations, each { u8 set=1, del=2 | sized path | set: sized value }
//   5 attach:         identity:10 | varint incarnation | varint cluster_version | sized address
//   6 reconcile:      varint updates, each { sized path | varint zigzag(revision) | identity:10 }
//   7 raise_version:  varint version
//
// What fills the rest of the bytes comes last and needs no length. 5 to 7 are the cluster's own.
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
#include "core/register.h"

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

/// A server makes itself known, so that it can be given a slot. Changes no file.
struct AttachView {
  Identity identity;             ///< not none
  Incarnation incarnation;       ///< from 1
  uint32_t cluster_version = 0;  ///< the newest that its build knows, from 1
  std::string_view address;      ///< at most kMemberAddressBytesMax
};

struct SlotUpdateView {
  std::string_view path;  ///< /ctl/cal/NAME, which is there
  int64_t revision = 0;   ///< of the slot, exactly
  Identity identity;      ///< that it is to hold, from the register; none: it is to be empty
};
/// Fills and empties slots: all at one revision, or none. Afterwards an identity stands in one slot
/// at the most, and some slot is filled.
struct ReconcileView {
  std::vector<SlotUpdateView> updates;  ///< at most kSlotsMax, no path twice
};

/// From now on commands of `version` may be given. A server whose build does not know it stops.
struct RaiseVersionView {
  uint32_t version = 0;  ///< from 1; one that is not higher changes nothing
};

using BodyView = std::variant<SetView, DelView, NopView, TransactionView, AttachView, ReconcileView,
                              RaiseVersionView>;
struct CommandView {
  Envelope envelope;
  BodyView body;
};

/// Appends to `out`. REQUIRES limits of base/limits.h to hold (the doors check them).
void encode_command(const CommandView& command, std::string& out);
/// Errors: unsupported (newer format, cluster version or kind), corrupt (anything else).
Result<CommandView> decode_command(std::string_view bytes);

}  // namespace doozer::core
