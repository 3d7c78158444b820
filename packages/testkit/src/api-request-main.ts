// One API request as a process of its own, for a network namespace: takes an ApiRequest as JSON in its first argument and
// prints the ApiAnswer as JSON.
import { apiRequest } from './api-request.ts';

const answer = await apiRequest(JSON.parse(process.argv[2] ?? ''));
process.stdout.write(JSON.stringify(answer));
