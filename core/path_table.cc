#include "core/path_table.h"

#include "base/hash.h"
#include "core/node.h"

namespace doozer::core {

PathTable::PathTable() = default;
PathTable::~PathTable() = default;

uint64_t PathTable::Hash::operator()(const Node& node) const { return hash64(node.key()); }

Node* PathTable::find(std::string_view path) const {
  return nodes_.find(hash64(path), [&](const Node& node) { return node.key() == path; });
}

void PathTable::insert(Node* node) { nodes_.insert(node); }
void PathTable::erase(const Node* node) { nodes_.erase(node); }
void PathTable::reserve(size_t nodes) { nodes_.reserve(nodes); }
Node* PathTable::take_any() { return nodes_.take_any(); }

}  // namespace doozer::core
