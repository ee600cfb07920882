# SPDX-License-Identifier: Apache-2.0
# find_package(knuma): targets
#   knuma::knuma         the library
#   knuma::knuma_static  the same as an archive
#   knuma::malloc        knuma under the names malloc, free and operator new
# Paths follow this file, so the installed tree may be moved.
cmake_minimum_required(VERSION 3.13)

get_filename_component(_knuma_prefix "${CMAKE_CURRENT_LIST_DIR}/@PREFIX@" ABSOLUTE)
set(_knuma_libdir "${_knuma_prefix}/@LIBDIR@")

foreach(_knuma_file
        "${_knuma_prefix}/include/knuma/knuma.h"
        "${_knuma_libdir}/libknuma.so.0"
        "${_knuma_libdir}/libknuma_malloc.so.0")
  if(NOT EXISTS "${_knuma_file}")
    set(knuma_FOUND FALSE)
    set(knuma_NOT_FOUND_MESSAGE "${_knuma_file} is missing: install knuma again")
    return()
  endif()
endforeach()

if(NOT TARGET knuma::knuma)
  add_library(knuma::knuma SHARED IMPORTED)
  set_target_properties(knuma::knuma PROPERTIES
    IMPORTED_LOCATION "${_knuma_libdir}/libknuma.so.0"
    IMPORTED_SONAME "libknuma.so.0"
    INTERFACE_INCLUDE_DIRECTORIES "${_knuma_prefix}/include")

  # The archive brings nothing of what it stands on.
  add_library(knuma::knuma_static STATIC IMPORTED)
  set_target_properties(knuma::knuma_static PROPERTIES
    IMPORTED_LOCATION "${_knuma_libdir}/libknuma.a"
    INTERFACE_INCLUDE_DIRECTORIES "${_knuma_prefix}/include"
    INTERFACE_LINK_LIBRARIES "-linih;-ldl;-pthread")

  add_library(knuma::malloc SHARED IMPORTED)
  set_target_properties(knuma::malloc PROPERTIES
    IMPORTED_LOCATION "${_knuma_libdir}/libknuma_malloc.so.0"
    IMPORTED_SONAME "libknuma_malloc.so.0"
    IMPORTED_LINK_DEPENDENT_LIBRARIES knuma::knuma)
endif()

unset(_knuma_file)
unset(_knuma_libdir)
unset(_knuma_prefix)
