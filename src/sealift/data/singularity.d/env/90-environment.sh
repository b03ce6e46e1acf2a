#!/bin/sh
# What %environment says follows.
