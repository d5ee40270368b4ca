// Links and messages between a few meshes.

#include "transport/mesh.h"

#include "transport/limits.h"
#include "transport/mesh_testing.h"

namespace doozer::transport {
namespace {

class Mesh2 : public MeshWorld {};

TEST_F(Mesh2, TwoServersLinkWithinMillisecondsAndTalkBothWays) {
  start_all(2);
  ASSERT_TRUE(run_until([&] { return connected(2); }, 10'000));
  EXPECT_TRUE(mesh(0).linked(id(1)) && mesh(1).linked(id(0)));
  send(0, 1, "ping");
  send(1, 0, "pong");
  ASSERT_TRUE(run_until([&] { return heard(1, 0, "ping") && heard(0, 1, "pong"); }, 5'000));
  const Heard& ping = node(1).heard.front();
  EXPECT_EQ(ping.incarnation, Incarnation(1));
  EXPECT_EQ(ping.channel, Channel::control);
}

}  // namespace
}  // namespace doozer::transport
