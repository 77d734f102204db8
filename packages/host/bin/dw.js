#!/usr/bin/env node
// The `dw` command. It lives outside dist so that package managers can link it before the first build.
import '../dist/cli/main.js';
