#!/bin/sh
# First of the scripts that make the environment; they run in the order of their names.
