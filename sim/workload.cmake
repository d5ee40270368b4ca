# Clients that do what users do and write down what they saw.
if(TARGET doozer_sim_server AND TARGET doozer_client AND TARGET doozer_sim_checkers)
  doozer_room(sim_workload
    SOURCES workload.cc workload_actors.cc workload_auditor.cc workload_library.cc workload_raw.cc
            workload_watchers.cc
    DEPS sim_checkers client core wire env base)
  doozer_tests(sim_workload SOURCES workload_test.cc DEPS sim_workload sim_server)
endif()
