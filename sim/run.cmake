# Whole plans: worlds, what is done to them, what is promised of them.
if(TARGET doozer_sim_workload)
  doozer_room(sim_run
    SOURCES cluster_world.cc facts.cc full_watch.cc host.cc liveness.cc nemesis.cc plan.cc plan_parse.cc
            plan_draw.cc plan_named.cc replica_watch.cc run.cc shrink.cc timeline.cc
    DEPS sim_workload sim_server sim_checkers server core wire env base)
  doozer_tests(sim_run SOURCES full_disks_test.cc log_in_doubt_test.cc majority_gone_test.cc plan_test.cc quarantine_test.cc run_test.cc status_test.cc DEPS sim_run)
  add_executable(doozer_sim_program doozer_sim.cc doozer_sim_batch.cc)
  set_target_properties(doozer_sim_program PROPERTIES OUTPUT_NAME doozer-sim)
  target_link_libraries(doozer_sim_program PRIVATE doozer_flags doozer_sim_run)
  # Once, in the build that ships; the sanitized one has sim_run_test.
  if(DOOZER_TESTS AND DOOZER_SANITIZE STREQUAL "" AND NOT DOOZER_COVERAGE)
    add_test(NAME sim.batch
      COMMAND doozer_sim_program --named all --seeds 1..200 --jobs 2
              --require-probes ${PROJECT_SOURCE_DIR}/sim/probes.txt)
    add_test(NAME sim.canaries COMMAND ${PROJECT_SOURCE_DIR}/tools/canaries --some 2)
    set_tests_properties(sim.batch sim.canaries PROPERTIES TIMEOUT 1800 RUN_SERIAL TRUE)
  endif()
endif()
# The same worlds come out of both compilers: whoever depends on more than the seed shows here.
if(TARGET doozer_sim_program AND DOOZER_TESTS AND DOOZER_SANITIZE STREQUAL "address")
  add_test(NAME sim.compilers
    COMMAND ${PROJECT_SOURCE_DIR}/tools/compare-digests $<TARGET_FILE:doozer_sim_program>
            ${PROJECT_SOURCE_DIR}/build/release/sim/doozer-sim)
  set_tests_properties(sim.compilers PROPERTIES TIMEOUT 900)
endif()
