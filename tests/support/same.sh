#!/bin/sh
# same.sh PROGRAM OTHER - short runs by two builds of the program; fails if a byte of a result differs.
# Both have the instruction set that they choose themselves.
set -e
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
how="--model data/bundled/base --iters 2 --batch-size 4 --valid-split 0 --progress none"
"$1" task restaurant --count 40 >"$folder/train.jsonl"
while read -r options; do
    $1 train $how --data "$folder/train.jsonl" $options --output-dir "$folder/here" >"$folder/out"
    $2 train $how --data "$folder/train.jsonl" $options --output-dir "$folder/there" >"$folder/out"
    for f in "$folder"/here/*.safetensors; do
        cmp "$f" "$folder/there/${f##*/}"
    done
    rm -r "$folder/here" "$folder/there"
    echo "the same bits: $options"
done <<END
--optimizer adamw
--optimizer lora-rite --base-dtype bf16
--optimizer muon --base-dtype q8_0 --fine-tune-type dora
--optimizer sgd --base-dtype q4_0 --lora-dropout 0.1
--optimizer adamw --fine-tune-type full
END
ask="generate --model data/bundled/base --seed 3 --max-tokens 40"
$1 $ask --prompt "name[Bar] =>" 2>"$folder/err" >"$folder/here"
$2 $ask --prompt "name[Bar] =>" 2>"$folder/err" >"$folder/there"
cmp "$folder/here" "$folder/there"
echo "the same text: generate"
