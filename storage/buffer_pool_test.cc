#include "storage/buffer_pool.h"

#include <gtest/gtest.h>

#include "storage/storage_fixture.h"

namespace doozer::storage {
namespace {

std::string buffer_of(size_t bytes) {
  std::string buffer(3, 'x');
  buffer.reserve(bytes);
  return buffer;
}

TEST(BufferPool, GivesBackWhatIsLargeEnoughAndEmpty) {
  BufferPool pool;
  EXPECT_TRUE(pool.take(100).empty());
  pool.give(buffer_of(1'000));
  pool.give(buffer_of(50'000));
  pool.give(buffer_of(2'000));
  const std::string large = pool.take(40'000);
  EXPECT_GE(large.capacity(), 50'000U);
  EXPECT_TRUE(large.empty());
  EXPECT_LT(pool.take(40'000).capacity(), 40'000U) << "there is no other one";
}

TEST(BufferPool, KeepsNoMoreThanItsBounds) {
  BufferPool pool;
  EXPECT_TRUE(pool.has_room_for(kSpareBytesMax));
  EXPECT_FALSE(pool.has_room_for(kSpareBytesMax + 1));
  pool.give(buffer_of(kSpareBytesMax / 2 + 1));
  EXPECT_FALSE(pool.has_room_for(kSpareBytesMax / 2));
  for (size_t i = 0; i < 2 * kSpareBuffersMax; ++i) pool.give(buffer_of(1'000));
  EXPECT_FALSE(pool.has_room_for(1));
  size_t kept = 0;
  while (pool.take(0).capacity() >= 1'000) ++kept;
  EXPECT_EQ(kept, kSpareBuffersMax);
}

}  // namespace
}  // namespace doozer::storage
