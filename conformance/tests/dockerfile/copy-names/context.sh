touch 'sp ace' '*star' 'back\slash' "$(printf 'n%.0s' {1..250})"
mkdir -p "$(printf 'deep/%.0s' {1..200})"
touch "$(printf 'deep/%.0s' {1..200})f"
