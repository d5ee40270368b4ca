# The load generators: programs of their own, beside the micro-benchmarks.
foreach(program IN ITEMS load fanout)
  if(TARGET doozer_io AND TARGET doozer_wire)
    add_executable(doozer-${program} ${CMAKE_CURRENT_LIST_DIR}/doozer_${program}.cc)
    target_link_libraries(doozer-${program} PRIVATE doozer_io doozer_wire doozer_base)
  endif()
endforeach()
