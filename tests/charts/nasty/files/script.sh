#!/bin/sh
# Must arrive byte for byte: ${HOME}, $(id), $$, `date`, "quotes", 'more', \n and a tab:	.
for f in ${FILES:-a b}; do
	printf '%s\n' "${f%%.*}"   
done
