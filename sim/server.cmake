# Whole servers in the simulator; the disk and the clock alone are doozer_sim.
if(TARGET doozer_server AND TARGET doozer_door)
  doozer_room(sim_server
    SOURCES net.cc one_server_world.cc raw_client.cc server_process.cc
    DEPS sim server wire env base)
  doozer_tests(sim_server SOURCES server_test.cc server_attack_test.cc server_faults_test.cc server_crash_test.cc DEPS sim_server TIMEOUT 900)
  # Connections alone, over the simulated network.
  doozer_tests(server_connections SOURCES ${PROJECT_SOURCE_DIR}/server/connections_test.cc
               DEPS sim_server door core)
endif()
