# The image that `cargo xtask image` builds: one statically linked program. Its context is a directory with `shaper` in it.
FROM scratch
COPY shaper /shaper
ENTRYPOINT ["/shaper"]
CMD ["agent"]
