# A Makefile with images as targets.
make -s result.txt
make -s result.txt
make -s check 2>/dev/null
echo "make said $?"
make -s clean
