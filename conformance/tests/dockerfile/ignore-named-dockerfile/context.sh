. "$CONTEXTS/links"
printf 'FROM busybox:base\nCOPY . /x/\n' > Other
printf 'd\n' > .dockerignore
printf '%s\n' '*.txt' > Other.dockerignore
