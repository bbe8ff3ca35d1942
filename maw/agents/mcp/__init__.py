"""maw for programs that speak MCP: a few tools, and word of what is new. Imports the package `mcp` in `server` only."""
