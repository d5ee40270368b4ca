#include "sim/checkers/judge.h"

#include <algorithm>

#include "sim/checkers/model.h"
#include "sim/checkers/order.h"
#include "sim/checkers/replicas.h"
#include "sim/checkers/watches.h"

namespace doozer::sim {

Verdict judge(const History& history, uint64_t linear_steps_max) {
  Verdict verdict;
  const Model model(history, verdict.report);
  check_order(history, model, verdict.report);
  check_watches(history, model, verdict.report);
  check_replicas(history, verdict.report);
  check_set(history, "/set/", verdict.report);
  check_counter(history, model, "/counter", verdict.report);
  check_lock(history, "/lock", verdict.report);
  verdict.linear_unknown = check_linear(history, verdict.report, linear_steps_max);
  verdict.overlap = count_overlap(history);
  verdict.revisions = model.newest();
  verdict.operations = history.ops.size();
  for (const Stream& stream : history.streams) {
    verdict.events += static_cast<uint64_t>(
        std::count_if(stream.notes.begin(), stream.notes.end(),
                      [](const WatchNote& note) { return note.kind == WatchNote::Kind::event; }));
  }
  return verdict;
}

std::string Verdict::to_string() const {
  return report.to_string() + (ok() ? "ok" : "BAD") + " operations=" + std::to_string(operations) +
         " revisions=" + std::to_string(revisions) + " events=" + std::to_string(events) +
         " overlapped=" + std::to_string(overlap.overlapped) + "/" +
         std::to_string(overlap.operations) + " linear_unknown=" + std::to_string(linear_unknown) +
         "\n";
}

}  // namespace doozer::sim
