// maw kept alive by PM2.
//
// `maw service install --manager pm2` fills in @MAW@ (the absolute path of the command) and @HOME@ (the node's
// directory), writes this to the node's directory, starts it and runs `pm2 save`. By hand: do the same, then
//     pm2 start ecosystem.config.cjs && pm2 save
// so that `pm2 resurrect` brings it back, and once, as root, what `pm2 startup` prints, so that systemd brings
// PM2 back after a reboot. PM2 has no watchdog: a daemon that hangs is ended by systemd only.
module.exports = {
  apps: [
    {
      name: "maw",
      script: "@MAW@",
      args: ["up"],
      interpreter: "none", // the command brings its own Python
      exec_mode: "fork",
      instances: 1, // a second daemon on one directory is refused
      env: { MAW_HOME: "@HOME@" },
      autorestart: true,
      max_restarts: 1000000000, // never give up; PM2 would after 16 quick deaths
      exp_backoff_restart_delay: 200, // ms, growing to 15 s while it keeps dying, and back after 30 s of life
      kill_timeout: 20000, // ms to finish what was accepted, after SIGINT
      watch: false,
      merge_logs: true,
      time: true,
    },
    {
      name: "maw-keep", // brings this user's agents back: after a boot, a crash, a dead tmux server
      script: "@MAW@",
      args: ["keep"],
      interpreter: "none",
      exec_mode: "fork",
      instances: 1,
      env: { MAW_HOME: "@HOME@" },
      autorestart: true,
      max_restarts: 1000000000,
      exp_backoff_restart_delay: 200,
      treekill: false, // a tmux server that it begins outlives it
      kill_timeout: 20000,
      watch: false,
      merge_logs: true,
      time: true,
    },
  ],
};
