import { join } from 'node:path';
import { SERVICE_NAME, type ServiceSpec, agentArguments } from './service-spec.ts';
import { MADE_BY_US } from './systemd-unit.ts';

/** launchd starts a job again at most this often. */
const THROTTLE_SECONDS = 10;

/**
 * The property list of the agent, after launchd.plist(5). It was not run on macOS: there is none among the machines this is
 * tested on.
 */
export function launchdPlist(spec: ServiceSpec): string {
  const { scope, serviceUser, node, data, stopSeconds } = spec;
  const words = [node, ...agentArguments(spec)].map((word) => `    <string>${escapeXml(word)}</string>`);
  return `<?xml version="1.0" encoding="UTF-8"?>
<!-- ${MADE_BY_US}, which replaces it when it runs again. -->
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
  <key>Label</key>
  <string>${SERVICE_NAME}</string>
  <key>ProgramArguments</key>
  <array>
${words.join('\n')}
  </array>
${scope === 'system' && serviceUser !== undefined ? `  <key>UserName</key>\n  <string>${escapeXml(serviceUser)}</string>\n` : ''}\
  <key>EnvironmentVariables</key>
  <dict>
    <key>NODE_COMPILE_CACHE</key>
    <string>${escapeXml(join(data, 'compile-cache'))}</string>
  </dict>
  <key>RunAtLoad</key>
  <true/>
  <key>KeepAlive</key>
  <true/>
  <key>ThrottleInterval</key>
  <integer>${THROTTLE_SECONDS}</integer>
  <key>ExitTimeOut</key>
  <integer>${stopSeconds}</integer>
  <!-- Tasks outlive a restart of the agent, as with KillMode=process of systemd. -->
  <key>AbandonProcessGroup</key>
  <true/>
</dict>
</plist>
`;
}

function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
