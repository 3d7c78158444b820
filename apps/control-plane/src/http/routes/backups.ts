import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import type { Backups } from '../../backup/backups.ts';
import { CONTROL_PLANE } from '../../operators/authorise.ts';
import { permit } from '../permit.ts';

/** The whole store as one file. */
export function backupRoutes(backups: Backups): FastifyPluginCallbackZod {
  return (app, _options, done) => {
    app.post(
      '/backups',
      {
        config: { verb: 'admin.backup', audit: true, contentType: 'application/gzip' },
        schema: { summary: 'Takes a backup of the store, which goes on working, and sends it' },
      },
      async (request, reply) => {
        permit(request, CONTROL_PLANE);
        const { name, archive } = await backups.take();
        // It may break off before anybody listens to it.
        reply.raw.once('close', () => archive.destroy());
        return reply
          .header('content-type', 'application/gzip')
          .header('content-disposition', `attachment; filename="${name}"`)
          .send(archive);
      },
    );
    done();
  };
}
