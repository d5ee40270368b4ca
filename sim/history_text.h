// Histories as text, one thing a line, so that checkers written by others can judge them too
// (docs/simulation-checkers.md draws the format):
//
//   op kind=set client=3 session=9 server=10.0.0.1:8046 path=/a value=c3-17 length=5 cas=4
//      invoked=1000 completed=1250 outcome=ok revision=5 store_rev=5          (all on one line)
//   watch id=0 client=4 glob=/** from=1
//   note watch=0 kind=event at=1300 revision=5 change=set path=/a value=c3-17
//   replica kind=entry server=ABCD... incarnation=1 index=7 term=2 command=81985529216486895
//
// A field that has its default is left out; bytes that are not printable ASCII, spaces and `%` are
// written %XX. Lines that begin with `#`, and empty ones, are skipped. The entries of a listing are
// `listed=NAME@REVISION=VALUE`, repeated, in order.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "sim/history.h"

namespace doozer::sim {

std::string to_text(const History& history);
/// Errors: bad_argument, with the number of the line.
Result<History> parse_history(std::string_view text);

}  // namespace doozer::sim
